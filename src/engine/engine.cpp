#include "engine.hpp"

#include <torch/script.h>

#include "cpu/cpu_network.hpp"
#include "gpu/gpu_network.hpp"
#include "kernels/bf16.hpp"

namespace onestep::engine {

std::unique_ptr<Network> compile(const torch::jit::Module& module, std::unique_ptr<Network> as_it_is,
                                 const NetworkInput& trial, const std::function<torch::Tensor()>& expected,
                                 Precision precision) {
  const auto compile_for = as_it_is->device().is_cpu() ? compile_for_cpu : compile_for_gpu;
  return compile_for(module, std::move(as_it_is), trial, expected, precision);
}

bool is_faster_in_bf16(torch::Device device) {
  return device.is_cpu() ? kernels::bf16::units().back() != kernels::bf16::Unit::emulated : has_fast_bf16(device);
}

}  // namespace onestep::engine
