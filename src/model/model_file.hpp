#pragma once

#include <memory>
#include <string>

#include "network.hpp"
#include "onestep/model_info.hpp"

namespace onestep {

/// Reads onestep.json out of a model file without running the model's code. Throws ModelError.
ModelInfo read_model_info(const std::string& file);

/// Loads the network of a TorchScript model file and tries it out: one call at batch 2 on the smallest noise, checked
/// for shape, type, finite values, and rows that do not depend on each other. Throws ModelError.
std::unique_ptr<Network> load_torchscript(const std::string& file, const ModelInfo& info);

}  // namespace onestep
