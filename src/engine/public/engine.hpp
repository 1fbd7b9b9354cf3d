#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "onestep/precision.hpp"
#include "onestep/tensor/network.hpp"

namespace torch::jit {
struct Module;
}

/// What makes a network fast on this machine.
namespace onestep::engine {

/// The code of a loaded module as it is to run on the device: a device that it names, as tracing leaves one, is this
/// one; float32 is float32, on GPUs too; numbers that were traced are numbers. Called once, before all else here.
void settle(const torch::jit::Module& module, torch::Device device);

/// Why equal inputs would not give equal outputs, as far as the module's code shows it: "draws random numbers
/// (aten::randn_like)". Empty: it doesn't.
std::string chance_or_memory(const torch::jit::Module& module);

/// The network run by libtorch as it is. `why_not_compiled`: for its report. Every call gets inputs of its own, to
/// which the network may write.
std::unique_ptr<Network> libtorch_network(const std::string& name, const Signature& signature, torch::Device device,
                                          const torch::jit::Module& module, Precision precision,
                                          const std::string& why_not_compiled = {});

/// Thrown where a network can't be compiled; the message says what stands in the way.
struct NotCompiled : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Compiles a network for its device, for each shape of its inputs when it is first called with that shape; a bounded
/// number of them is kept. A shape for which it can't be compiled, or is compiled to something else than it is, is left
/// to `as_it_is`, the same network run by libtorch, which also says what its name, signature and device are. precision:
/// fp32, bf16, or on a GPU fp16, in which large products are then computed.
///
/// trial: an input of two rows that differ in all they can; expected(): what libtorch makes of it in fp32, asked for
/// when it is needed, so that it can be computed meanwhile. Throws NotCompiled where the trial's shape can't be
/// compiled, and what expected() throws. On a CPU both rows were then compared with what libtorch makes of the first
/// row alone, and of both.
std::unique_ptr<Network> compile(const torch::jit::Module& module, std::unique_ptr<Network> as_it_is,
                                 const NetworkInput& trial, const std::function<torch::Tensor()>& expected,
                                 Precision precision);

/// Whether bf16 is faster than float32 on the device.
bool is_faster_in_bf16(torch::Device device);

}  // namespace onestep::engine
