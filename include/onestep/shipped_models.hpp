#pragma once

#include <string>
#include <utility>
#include <vector>

namespace onestep {

/// Names and files of the shipped models: the .pt files in the folders of ONESTEP_MODELS (separated by ':'), of the
/// installed share folder, and of the source tree; the first of a name counts.
std::vector<std::pair<std::string, std::string>> shipped_models();

}  // namespace onestep
