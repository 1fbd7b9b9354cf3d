#include "input_file.hpp"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "onestep/error.hpp"

namespace onestep {

InputFile::InputFile(const std::string& path) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, path + ": " + what); };
  const auto fail_to_read = [&](const std::error_code& reason) {
    fail("can't be read: " + reason.message() +
         (reason == std::errc::permission_denied ? "; give a path that you may read" : "; give another path"));
  };
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) fail("no such file");
  if (!std::filesystem::exists(status)) fail_to_read(error);
  if (std::filesystem::is_directory(status)) fail("is a folder; give a file in it");
  if (!std::filesystem::is_regular_file(status)) fail("is a device or a pipe; give an ordinary file");
  size = std::filesystem::file_size(path, error);
  if (size == 0) fail("is empty; copy or make it again");
  stream.open(path, std::ios::binary);
  if (!stream) fail_to_read({errno, std::system_category()});
}

}  // namespace onestep
