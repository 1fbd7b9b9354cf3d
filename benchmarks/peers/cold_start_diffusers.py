"""One picture with diffusers, as its documentation does it: cold_start_diffusers.py FOLDER DEVICE PNG

cold_start_diffusers.py FOLDER DEVICE --write makes the pipeline first: about as large as `medium` of networks.py."""

import sys

import torch
from diffusers import CMStochasticIterativeScheduler, ConsistencyModelPipeline, UNet2DModel


def write(folder: str) -> None:
    torch.manual_seed(0)
    unet = UNet2DModel(sample_size=28, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(64, 128, 160),
                       down_block_types=("ResnetDownsampleBlock2D", "ResnetDownsampleBlock2D", "AttnDownBlock2D"),
                       up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D", "ResnetUpsampleBlock2D"),
                       attention_head_dim=32, norm_num_groups=16, resnet_time_scale_shift="scale_shift")
    ConsistencyModelPipeline(unet, CMStochasticIterativeScheduler()).save_pretrained(folder)
    print(f"{sum(tensor.numel() for tensor in unet.parameters()) / 1e6:.1f} million parameters", file=sys.stderr)


folder, device, picture = sys.argv[1:]
if picture == "--write":
    write(folder)
else:
    pipeline = ConsistencyModelPipeline.from_pretrained(folder).to(device)
    pipeline.set_progress_bar_config(disable=True)
    pipeline(num_inference_steps=1).images[0].save(picture)
