#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace onestep {

/// A file that appears under its name whole or not at all: it is written under a temporary name in the same folder and
/// renamed by commit(), over an older file of that name. Without commit() nothing is left behind.
class OutputFile {
 public:
  /// Throws Error (file) where the folder of `path` is missing or can't be written to, or where `path` is a folder or
  /// a device; the message names the path, the system's reason and the way out. So do the members below.
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void commit();

  /// For libraries that write for themselves, before commit(): the open file, its name, and the way to report errno.
  int descriptor() const { return descriptor_; }
  const std::string& temporary() const { return temporary_; }
  [[noreturn]] void fail(int system_error) const;

 private:
  std::string path_, folder_, temporary_;
  int descriptor_ = -1;
};

/// Writes all of a file at once. Throws Error (file).
void write_file(const std::string& path, std::span<const std::byte> bytes);

/// Throws Error (file) unless a file of this name can be written: to be asked before long work. An older file of that
/// name is left as it is.
void require_writable(const std::string& path);

}  // namespace onestep
