#pragma once

#include "engine.hpp"

namespace onestep::engine {

/// compile(), of engine.hpp, for a network on the CPU.
std::unique_ptr<Network> compile_for_cpu(const torch::jit::Module& module, std::unique_ptr<Network> as_it_is,
                                         const NetworkInput& trial, const std::function<torch::Tensor()>& expected,
                                         Precision precision);

}  // namespace onestep::engine
