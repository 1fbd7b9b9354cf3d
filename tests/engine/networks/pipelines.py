"""UNet2DModel of diffusers itself, in the configurations that its published pipelines have."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import diffusers  # noqa: E402
from diffusers.models.attention_processor import Attention, AttnProcessor  # noqa: E402
from torch import nn  # noqa: E402

from .common import CONSISTENCY, TIMESTEPS, metadata  # noqa: E402


class Pipeline(nn.Module):
    def __init__(self, blocks: str, attention: str = "fused", **configuration):
        """`blocks`: of the two levels, the finer first, as in "Down AttnDown"."""
        super().__init__()
        down = [f"{block}Block2D" for block in blocks.split()]
        up = [block.replace("Downsample", "Upsample").replace("Down", "Up") for block in reversed(down)]
        self.unet = diffusers.UNet2DModel(**{
            "sample_size": 8, "block_out_channels": (16, 32), "norm_num_groups": 8, "layers_per_block": 1,
            "down_block_types": down, "up_block_types": up, **configuration})
        if attention == "spelled out":
            for part in self.unet.modules():
                if isinstance(part, Attention):
                    part.set_processor(AttnProcessor())

    def forward(self, x, noise, label=None):
        return self.unet(x, noise, class_labels=label, return_dict=False)[0]


def write(save) -> None:
    picture = (3, 8, 8)
    # As google/ddpm-cifar10-32: padding only right and below.
    save("diffusers_ddpm",
         Pipeline("Down AttnDown", downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6,
                  attention_head_dim=None), metadata(picture, TIMESTEPS))
    save("diffusers_spelled_out", Pipeline("AttnDown AttnDown", "spelled out", num_class_embeds=5, dropout=0.1),
         metadata(picture, TIMESTEPS, labels=5))
    # As openai/diffusers-cd_imagenet64_l2.
    save("diffusers_consistency",
         Pipeline("ResnetDownsample AttnDown", resnet_time_scale_shift="scale_shift", downsample_type="resnet",
                  upsample_type="resnet", num_class_embeds=5, attn_norm_num_groups=8),
         metadata(picture, CONSISTENCY, labels=5))
    save("diffusers_scale_shift",
         Pipeline("Down AttnDown", "spelled out", resnet_time_scale_shift="scale_shift", layers_per_block=2,
                  block_out_channels=(8, 24), attention_head_dim=12, norm_num_groups=4, attn_norm_num_groups=4,
                  mid_block_scale_factor=2**0.5), metadata(picture, TIMESTEPS))
    save("diffusers_no_attention",
         Pipeline("Down Down", add_attention=False, num_class_embeds=3, class_embed_type="timestep"),
         metadata(picture, TIMESTEPS, labels=3))
    # As google/ncsnpp-celebahq-256: a pyramid of inputs and outputs, filtered, whose scaling by the level is left out.
    save("diffusers_filtered",
         Pipeline("SkipDown AttnSkipDown", block_out_channels=(32, 32), norm_num_groups=16, time_embedding_dim=32),
         metadata(picture, CONSISTENCY))
