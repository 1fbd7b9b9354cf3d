#pragma once

#include <map>
#include <string>
#include <vector>

#include "onestep/model_info.hpp"

namespace onestep {

/// What a model says of itself, read without running its code: the onestep.json in a model file or in a model folder.
/// Throws Error (model).
ModelInfo read_model_info(const std::string& model);

/// The file of a component: of a model folder, in it; of a model file, which is its own denoiser, that file.
std::string component_file(const std::string& model, const ModelInfo& info, const std::string& component);

/// The bytes of a copy of a model file that recommends these levels beside those it had. Throws Error (model).
std::string with_levels(const std::string& file, const std::map<int, std::vector<double>>& levels);

}  // namespace onestep
