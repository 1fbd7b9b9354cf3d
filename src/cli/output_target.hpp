#pragma once

#include <cstdint>
#include <string>

#include "onestep/model_info.hpp"

namespace onestep {

/// What --output names: one file, or a pattern that names one file a sample; of a folder that too.
struct OutputTarget {
  std::string file = {}, pattern = {}, folder = {}, extension = {};
  std::string new_folder = {};  ///< The folder, where it is not there yet.

  std::string file_of(std::uint64_t seed) const;
};

/// A folder's files are of the kind that is usual for the model. Throws Error (usage).
OutputTarget find_target(const std::string& output, const ModelInfo& info);

}  // namespace onestep
