#include "output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "onestep/error.hpp"

namespace onestep {

namespace fs = std::filesystem;

OutputFile::OutputFile(const std::string& path) : path_(path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status) || !fs::path(path).has_filename()) {
    throw Error(ErrorKind::file, (path.empty() ? "an empty path" : path) + ": names a folder; give a file in it");
  }
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(ErrorKind::file, path + ": is a device or a pipe; give the path of an ordinary file");
  }
  const fs::path folder = fs::path(path).parent_path();
  folder_ = folder.empty() ? fs::path(".").string() : folder.string();
  // Renaming would get round the write protection of an older file.
  if (fs::exists(status) && access(path.c_str(), W_OK) != 0) fail(errno);

  // A killed process of the same number may have left its temporary file: then the next number is free.
  static std::atomic<unsigned> next{0};
  do {
    temporary_ = folder_ + "/.onestep-" + std::to_string(getpid()) + "-" + std::to_string(next++) + ".tmp";
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor_ < 0) fail(errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::commit() {
  // A file on a network disk learns only here that the disk is full. No fsync: it would cost milliseconds a sample, and
  // a crash of the whole machine loses nothing that the same seeds don't bring back.
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail(errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  temporary_.clear();
}

void OutputFile::fail(int system_error) const {
  std::string way_out = "give another path";
  switch (system_error) {
    case ENOENT:
    case ENOTDIR:
      way_out = "make the folder " + folder_ + " first, or " + way_out;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      way_out = "give a path that you may write to";
      break;
    case ENOSPC:
    case EDQUOT:
      way_out = "free some space, or give a path on another disk";
      break;
    case EFBIG:
      way_out = "raise the limit on file sizes (ulimit -f), or write fewer samples to a file";
      break;
  }
  throw Error(ErrorKind::file,
              path_ + ": can't be written: " + std::system_category().message(system_error) + "; " + way_out);
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  OutputFile output(path);
  output.write(bytes);
  output.commit();
}

void require_writable(const std::string& path) { const OutputFile probe(path); }

}  // namespace onestep
