#include "output_target.hpp"

#include <filesystem>

#include "file_pattern.hpp"
#include "onestep/error.hpp"
#include "onestep/file_kind.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

std::string doubled_braces(const std::string& text) {
  std::string doubled;
  for (const char c : text) doubled += c == '{' || c == '}' ? std::string(2, c) : std::string(1, c);
  return doubled;
}

}  // namespace

std::string OutputTarget::file_of(std::uint64_t seed) const {
  return file.empty() ? file_of_seed(pattern, seed) : file;
}

OutputTarget find_target(const std::string& output, const ModelInfo& info) {
  if (output.empty()) throw Error(ErrorKind::usage, "--output is empty; give a file, a folder or a pattern");
  std::error_code unreachable;  // as require_savable says
  OutputTarget target;
  if (output.back() == '/' || fs::is_directory(output, unreachable)) {
    target.folder = output;
    target.extension = extension_of(usual_kind(info.data.modality));
    target.pattern = doubled_braces(fs::path(output) / "") + "{seed:06d}" + target.extension;
    if (!fs::exists(output, unreachable)) target.new_folder = fs::path(output).parent_path();
    return target;
  }
  (is_file_pattern(output) ? target.pattern : target.file) = output;
  return target;
}

}  // namespace onestep
