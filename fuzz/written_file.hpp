#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "only_errors.hpp"
#include "output_file.hpp"

namespace onestep {

/// An input as a file, in memory, or in what comes nearest; gone with the program. The next one of its name takes its
/// place.
inline std::string written_file(const std::string& name, const std::uint8_t* data, std::size_t size) {
  struct Folder {
    std::string path =
        std::filesystem::exists("/dev/shm") ? "/dev/shm/onestep-fuzz-XXXXXX" : "/tmp/onestep-fuzz-XXXXXX";
    Folder() {
      if (!mkdtemp(path.data())) std::abort();
    }
    ~Folder() { std::filesystem::remove_all(path); }
  };
  static const Folder folder;
  const std::string file = folder.path + "/" + name;
  write_file(file, as_bytes(data, size));
  return file;
}

}  // namespace onestep
