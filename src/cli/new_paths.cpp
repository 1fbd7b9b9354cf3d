#include "new_paths.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "onestep/error.hpp"

namespace onestep {

NewPaths::~NewPaths() {
  std::error_code holds_something;
  for (auto path = paths_.rbegin(); !kept_ && path != paths_.rend(); ++path)
    std::filesystem::remove(*path, holds_something);
}

void NewPaths::make_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0777) == 0) return add(path);
  if (errno == EEXIST) return;
  throw Error(ErrorKind::file, path + ": the folder can't be made: " + std::system_category().message(errno) +
                                   "; its own folder must exist and be writable");
}

}  // namespace onestep
