#include "shipped_models.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "onestep/error.hpp"
#include "onestep/shipped_models.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

/// Where shipped models may lie, the first to be searched first.
std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders;
  if (const char* variable = std::getenv("ONESTEP_MODELS")) {
    std::istringstream list(variable);
    for (std::string folder; std::getline(list, folder, ':');) folders.emplace_back(folder);
  }
  // What is installed finds the models of its own prefix, wherever that was moved: the program, and the library for C.
  std::error_code none;
  std::vector<fs::path> installed{fs::read_symlink("/proc/self/exe", none)};
  Dl_info library{};
  if (dladdr(ONESTEP_INSTALLED_MODELS, &library) != 0) installed.emplace_back(library.dli_fname);
  for (const fs::path& file : installed) {
    if (!file.is_absolute()) continue;  // a program's name, as it was called
    // From PREFIX/bin or PREFIX/lib, and from a folder within.
    for (const char* prefix : {"..", "../.."}) {
      folders.push_back((file.parent_path() / prefix / "share/onestep/models").lexically_normal());
    }
  }
  folders.emplace_back(ONESTEP_INSTALLED_MODELS);
#ifdef ONESTEP_SOURCE_MODELS
  folders.emplace_back(ONESTEP_SOURCE_MODELS);
#endif
  return folders;
}

bool is_model_folder(const fs::path& path) {
  std::error_code none;
  return fs::is_regular_file(path / "onestep.json", none);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> shipped_models() {
  std::vector<std::pair<std::string, std::string>> models;
  for (const fs::path& folder : model_folders()) {
    std::vector<fs::path> files;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none)) {
      if (entry.path().extension() == ".pt" || is_model_folder(entry.path())) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.stem() < b.stem(); });
    for (const fs::path& file : files) {
      const std::string name = file.stem();
      if (std::none_of(models.begin(), models.end(), [&](const auto& m) { return m.first == name; })) {
        models.emplace_back(name, file);
      }
    }
  }
  return models;
}

std::string find_model(const std::string& model) {
  // A name has neither a folder nor an extension: anything else is a path, and its own message follows on reading it.
  const fs::path path(model);
  std::error_code none;
  if (fs::is_regular_file(path, none) || is_model_folder(path) || path.has_extension() || path.has_parent_path())
    return model;
  std::string names;
  for (const auto& [name, file] : shipped_models()) {
    if (name == model) return file;
    names += (names.empty() ? "" : ", ") + name;
  }
  throw Error(ErrorKind::model,
              model + ": no file and no shipped model of this name; there " +
                  (names.empty() ? "are no shipped models; set ONESTEP_MODELS to their folder" : "are " + names));
}

}  // namespace onestep
