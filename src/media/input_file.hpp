#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace onestep {

/// An ordinary, non-empty file opened for reading, and its size in bytes.
struct InputFile {
  /// Throws Error (file) where there is no such file, or it is a folder, a device, empty, or can't be read.
  explicit InputFile(const std::string& path);

  std::ifstream stream;
  std::uint64_t size;
};

}  // namespace onestep
