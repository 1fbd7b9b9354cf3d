#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "onestep/model_info.hpp"
#include "onestep/tensor/network.hpp"

namespace onestep {

/// Reads onestep.json out of a model file without running the model's code. Throws ModelError.
ModelInfo read_model_info(const std::string& file);

/// Loads the network of a TorchScript model file onto `device` and tries it out: one call at batch 2 on the smallest
/// noise, checked for shape, type, finite values, and rows that do not depend on each other. On the CPU the network is
/// compiled where it can be, unless `compile` is false. Throws ModelError.
std::unique_ptr<Network> load_torchscript(const std::string& file, const ModelInfo& info,
                                          torch::Device device = torch::kCPU, bool compile = true);

/// The bytes of a copy of a model file that recommends these levels beside those it had. Throws ModelError.
std::string with_levels(const std::string& file, const std::map<int, std::vector<double>>& levels);

/// cpu, cuda or cuda:i. Throws Error (usage) on anything else, and on a device that this machine lacks.
torch::Device find_device(const std::string& name);

}  // namespace onestep
