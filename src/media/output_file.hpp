#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

struct stat;  // of <sys/stat.h>

namespace onestep {

/// Writes a file, whole or not at all: under a temporary name in its folder, which is then renamed. An older file of
/// that name is replaced and keeps its mode; where the name is a symbolic link, the file that it points to is written.
/// Throws Error (file), which names the path, the system's reason and the way out, and leaves nothing behind: where the
/// folder is missing, is full or can't be written to, and where the path is a folder or a device.
void write_file(const std::string& path, std::span<const std::byte> bytes);

/// The same in parts: a file that has its name from commit() on. Without commit() nothing is left behind.
class OutputFile {
 public:
  /// temporary_folder: on the same file system, where the file is until it has its name; empty: its own folder.
  explicit OutputFile(const std::string& path, const std::string& temporary_folder = "");
  ~OutputFile() { discard(); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Behind what was written so before.
  void write(std::span<const std::byte> bytes);
  /// At a place, in bytes from the beginning, which may lie beyond the end.
  void write_at(std::uint64_t place, std::span<const std::byte> bytes);
  /// All is written: what a disk learns of only now is thrown. commit() does it, too.
  void finish();
  void commit();

 private:
  void create(const struct ::stat* older, const std::string& folder);
  void discard();
  [[noreturn]] void fail(int system_error);

  std::string path_, target_, folder_, temporary_;
  int descriptor_ = -1;
};

/// Throws Error (file) unless a file of this name can be written: to be asked before long work. An older file of that
/// name is left as it is.
void require_writable(const std::string& path);

}  // namespace onestep
