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

/// A folder made for the samples, gone again if none came.
class NewFolder {
 public:
  /// Empty: none is made. Throws Error (file).
  explicit NewFolder(const std::string& path);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

 private:
  std::string path_;
};

}  // namespace onestep
