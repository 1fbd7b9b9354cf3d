"""Networks of Python as TorchScript."""

import copy
import warnings

import torch
from torch import nn

from . import ExportError


def trace(network: nn.Module, example: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> torch.jit.ScriptModule:
    """The network as TorchScript. `other`: inputs of another batch size, and of other sizes where those are free; a size that
    tracing baked in is an error."""
    network.eval().requires_grad_(False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
        warnings.filterwarnings("ignore", category=FutureWarning)  # of properties that tracing looks at
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # what they warn of is tested below
        try:
            # torch's own check would run the same example again, and stumble over networks that keep constants.
            module = torch.jit.trace(network, example, check_trace=False)
            follow_device(module)
            expected = network(*other)
            difference = float((module(*other) - expected).abs().max())
        except (RuntimeError, AssertionError) as error:
            raise ExportError(f"the network ({type(network).__name__}) can't be traced: {str(error).strip().splitlines()[0]}") from error
    if not difference <= 1e-5 * max(float(expected.abs().max()), 1):  # float32 sums in another order
        raise ExportError(f"the traced network ({type(network).__name__}) differs from the module by {difference:g} at another "
                          f"batch size, {list(other[0].shape)}; its code depends on it, and needs torch.jit.script")
    return module


def script(network: nn.Module, *others: tuple[torch.Tensor, ...]) -> torch.jit.ScriptModule:
    """As trace, where the code has branches that depend on its inputs, and is written in what TorchScript knows."""
    network.eval().requires_grad_(False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
        try:
            module = torch.jit.script(copy.deepcopy(network))
            for other in others:
                expected = network(*other)
                if not float((module(*other) - expected).abs().max()) <= 1e-5 * max(float(expected.abs().max()), 1):
                    raise ExportError(f"the scripted network ({type(network).__name__}) differs from the module")
        except RuntimeError as error:
            raise ExportError(f"the network ({type(network).__name__}) can't be scripted: {str(error).strip().splitlines()[0]}") from error
        # What has run is compiled, and would not see what keep_in_half does to it.
        return torch.jit.script(network)


def in_one_piece(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """The same network with the code of its layers in one method. Else each is a class in a file of its own, and reading
    those takes longer than all the weights. Parameters and buffers keep their names, and can be moved to a device."""
    inlined = torch._C._freeze_module(module._c, preserveParameters=True)  # torch.jit.freeze would make constants of them
    return torch.jit._recursive.wrap_cpp_module(inlined)


def keep_in_half(module: torch.jit.ScriptModule) -> None:
    """Parameters of a module in one piece are kept in half precision, and made float32 where its code uses them."""
    parameters = dict(module.named_parameters())
    graph = module._c._get_method("forward").graph
    graph.setInsertPoint(next(graph.nodes()))
    float32, no, none = (graph.insertConstant(value) for value in (torch.float32, False, None))
    for node in graph.findAllNodes("prim::GetAttr"):
        owner, path = node.inputsAt(0).node(), [node.s("name")]
        while owner.kind() == "prim::GetAttr":
            owner, path = owner.inputsAt(0).node(), [owner.s("name"), *path]
        value = node.output()
        if value.type().kind() == "OptionalType":
            # Of scripted layers, a bias that might have been missing: it stays as it is.
            parameters.pop(".".join(path), None)
        elif ".".join(path) in parameters:
            cast = graph.create("aten::to", [value, float32, no, no, none], 1)
            cast.insertAfter(node)
            value.replaceAllUsesWith(cast.output())
            cast.replaceInput(0, value)
    for parameter in parameters.values():
        parameter.data = parameter.data.half()


def follow_device(module: torch.jit.ScriptModule) -> None:
    """Tracing notes the device that the module was on wherever its code asks for one; let it be the input's instead, so that
    what is drawn up there (frequencies of an embedding, mostly) is on the GPU when the model is."""
    for part in module.modules():
        for name in part._c._method_names():  # a module that is called twice has forward and forward1
            graph = part._c._get_method(name).graph
            tensor = next((given for given in graph.inputs() if given.type().isSubtypeOf(torch._C.TensorType.get())), None)
            noted = [node for node in graph.findAllNodes("prim::Constant") if node.output().type().kind() == "DeviceObjType"]
            if tensor is None or not noted:
                continue
            device = graph.create("prim::device", [tensor], 1)
            device.output().setType(torch._C.DeviceObjType.get())
            graph.prependNode(device)
            for node in noted:
                node.output().replaceAllUsesWith(device.output())
