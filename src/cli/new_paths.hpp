#pragma once

#include <string>
#include <vector>

namespace onestep {

/// Folders and files that were made for samples: gone again if none came. A folder that holds something stays.
class NewPaths {
 public:
  NewPaths() = default;
  ~NewPaths();
  NewPaths(const NewPaths&) = delete;
  NewPaths& operator=(const NewPaths&) = delete;

  /// Makes a folder where there is none. Throws Error (file).
  void make_folder(const std::string& path);
  /// Something else that was made.
  void add(const std::string& path) { paths_.push_back(path); }
  /// There are samples.
  void keep() { kept_ = true; }

 private:
  std::vector<std::string> paths_;
  bool kept_ = false;
};

}  // namespace onestep
