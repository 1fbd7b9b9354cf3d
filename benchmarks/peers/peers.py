"""The peers: what else runs the same network, each with the settings that its makers recommend or that were fastest here.

A peer is a function of a job that loads the network and returns a call of it. Libraries are imported inside, so that a
process holds only what its peer needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    import torch

Call = Callable[[], Any]  # computes the network; what it returns, numpy.asarray understands


@dataclass(frozen=True)
class Job:
    network: str
    model: Path  # the TorchScript file
    onnx: Path  # the same network
    inputs: dict[str, numpy.ndarray]  # x [N, C, H, W], noise [N], label [N]
    threads: int
    device: str  # as torch names it

    def tensors(self) -> list[torch.Tensor]:
        """For torch, which is told the threads on the way, and that float32 is no TF32."""
        import torch
        torch.set_num_threads(self.threads)
        torch.backends.cudnn.allow_tf32 = False
        return [torch.from_numpy(array).to(self.device) for array in self.inputs.values()]


def torchscript(job: Job, prepared: str = "") -> Call:
    """The file as it is, or frozen first: freezing folds the weights into the graph, and then channels_last saves
    convolutions a reordering, which was faster here than optimize_for_inference; that packs weights for oneDNN instead."""
    import torch
    inputs = job.tensors()
    network = torch.jit.load(str(job.model), map_location=job.device).eval()
    if prepared == "channels_last":
        network = torch.jit.freeze(network.to(memory_format=torch.channels_last))
        inputs[0] = inputs[0].contiguous(memory_format=torch.channels_last)
    elif prepared == "optimize_for_inference":
        network = torch.jit.optimize_for_inference(torch.jit.freeze(network))
    return torch.inference_mode()(lambda: network(*inputs).cpu())


def eager(job: Job, bf16: bool, compiled: bool = False) -> Call:
    """The Python module in channels_last, as oneDNN, cuDNN and Inductor like it.

    bf16 is autocast, whose list of operators that keep float32 is PyTorch's own advice; weights are cast beforehand, as
    autocast would cast those of a network without gradients in every call. Inductor: freezing packs weights for oneDNN;
    the C++ wrapper spares small networks Python between kernels, as CUDA graphs do on a GPU; max-autotune tries the GEMM
    templates."""
    import torch
    import networks
    inputs = job.tensors()
    network = networks.module(job.model, job.network).to(job.device, memory_format=torch.channels_last)
    inputs[0] = inputs[0].contiguous(memory_format=torch.channels_last)
    if bf16:
        for layer in network.modules():
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
                layer.to(torch.bfloat16)
    if compiled:
        import torch._inductor.config as inductor
        inductor.freezing = True
        inductor.cpp_wrapper = job.device == "cpu"
        network = torch.compile(network, mode="max-autotune-no-cudagraphs" if job.device == "cpu" else "max-autotune",
                                dynamic=False)

    @torch.inference_mode()
    def call() -> torch.Tensor:
        with torch.autocast(inputs[0].device.type, torch.bfloat16, enabled=bf16):
            return network(*inputs).float().cpu()

    return call


def onnxruntime(job: Job) -> Call:
    """All graph optimisations, for one batch size. Its threads spin while they wait, the default and the fastest: this
    process has no other pool that they could take cores from. It has no bf16 kernels for x86."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1  # a UNet is one chain: nothing runs beside anything else
    options.add_free_dimension_override_by_name("batch", len(job.inputs["x"]))
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(job.onnx), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, job.inputs)[0]


def openvino(job: Job, precision: str, streams: bool = False) -> Call:
    """The latency hint, which gives all cores to one call of the whole batch; or the throughput hint, which cuts the batch
    into images that several streams compute side by side. The precision is said, as its default depends on the processor."""
    import numpy
    import openvino
    batch = len(job.inputs["x"])
    count, pieces = (min(job.threads, batch), batch) if streams else (1, 1)
    core = openvino.Core()
    model = core.read_model(job.onnx)
    model.reshape({name: [batch // pieces, *array.shape[1:]] for name, array in job.inputs.items()})
    compiled = core.compile_model(model, "CPU", {
        "PERFORMANCE_HINT": "THROUGHPUT" if streams else "LATENCY", "NUM_STREAMS": str(count),
        "INFERENCE_NUM_THREADS": job.threads, "INFERENCE_PRECISION_HINT": precision})
    requests = [compiled.create_infer_request() for _ in range(pieces)]
    cut = [{name: array[i * batch // pieces:(i + 1) * batch // pieces] for name, array in job.inputs.items()}
           for i in range(pieces)]

    def call() -> numpy.ndarray:
        for request, inputs in zip(requests, cut):
            request.start_async(inputs, share_inputs=True)
        for request in requests:
            request.wait()
        return numpy.concatenate([request.get_output_tensor().data for request in requests])

    return call


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    precision: str  # fp32 or bf16, or auto: what onestep finds best
    start: Callable[[Job], Call] | None  # none: the program onestep
    smallest_batch: int = 1
    devices: tuple[str, ...] = ("cpu",)

    def runs_on(self, device: str) -> bool:
        return device.split(":")[0] in self.devices


EVERYWHERE = ("cpu", "cuda")
PEERS = {peer.name: peer for peer in (
    Peer("onestep", "onestep, auto", "auto", None, devices=EVERYWHERE),
    Peer("onestep-fp32", "onestep, fp32", "fp32", None, devices=EVERYWHERE),
    Peer("torchscript", "TorchScript", "fp32", torchscript, devices=EVERYWHERE),
    Peer("frozen", "TorchScript, frozen, channels_last", "fp32", partial(torchscript, prepared="channels_last")),
    Peer("optimized", "TorchScript, optimize_for_inference", "fp32",
         partial(torchscript, prepared="optimize_for_inference")),
    Peer("eager", "PyTorch", "fp32", partial(eager, bf16=False), devices=("cuda",)),
    Peer("compile", "torch.compile", "fp32", partial(eager, bf16=False, compiled=True), devices=EVERYWHERE),
    Peer("onnxruntime", "ONNX Runtime", "fp32", onnxruntime),
    Peer("openvino", "OpenVINO", "fp32", partial(openvino, precision="f32")),
    Peer("openvino-streams", "OpenVINO, streams", "fp32", partial(openvino, precision="f32", streams=True), 2),
    Peer("eager-bf16", "PyTorch, bf16", "bf16", partial(eager, bf16=True), devices=EVERYWHERE),
    Peer("compile-bf16", "torch.compile, bf16", "bf16", partial(eager, bf16=True, compiled=True), devices=EVERYWHERE),
    Peer("openvino-bf16", "OpenVINO, bf16", "bf16", partial(openvino, precision="bf16")),
    Peer("openvino-streams-bf16", "OpenVINO, streams, bf16", "bf16", partial(openvino, precision="bf16", streams=True), 2),
)}
