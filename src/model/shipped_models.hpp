#pragma once

#include <string>
#include <utility>
#include <vector>

namespace onestep {

/// `model` as it is when there is such a file, else the shipped model of this name. Throws Error (model), listing the
/// names.
std::string find_model(const std::string& model);

}  // namespace onestep
