#include "output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "onestep/error.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

/// The path that a chain of symbolic links ends at, whether or not there is a file. Of a chain that never ends, some
/// link of it, which the system then refuses.
fs::path end_of_links(fs::path path) {
  constexpr int most = 40;  // as many as Linux follows
  std::error_code none;
  for (int i = 0; i < most && fs::is_symlink(path, none); ++i) {
    path = path.parent_path() / fs::read_symlink(path, none);
  }
  return path;
}

}  // namespace

OutputFile::OutputFile(const std::string& path, const std::string& temporary_folder) : path_(path) {
  const fs::path target = end_of_links(path);
  target_ = target.string();
  folder_ = target.has_parent_path() ? target.parent_path().string() : ".";
  struct stat older;
  const bool exists = target.has_filename() && stat(target_.c_str(), &older) == 0;
  if (!target.has_filename() || (exists && S_ISDIR(older.st_mode))) {
    throw Error(ErrorKind::file, (path.empty() ? "an empty path" : path) + ": names a folder; give a file in it");
  }
  if (!exists && errno != ENOENT) fail(errno);
  if (exists && !S_ISREG(older.st_mode)) {
    throw Error(ErrorKind::file, path + ": is a device or a pipe; give the path of an ordinary file");
  }
  // Renaming would get round the write protection of an older file.
  if (exists && access(target_.c_str(), W_OK) != 0) fail(errno);
  create(exists ? &older : nullptr, temporary_folder.empty() ? folder_ : temporary_folder);
}

void OutputFile::create(const struct ::stat* older, const std::string& folder) {
  // A killed process of the same number may have left its temporary file: then the next number is free.
  static std::atomic<unsigned> next{0};
  std::string name;
  do {
    name = folder + "/.onestep-" + std::to_string(getpid()) + "-" + std::to_string(next++) + ".tmp";
    descriptor_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, older ? 0600 : 0666);
  } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor_ < 0) fail(errno);
  temporary_ = name;
  if (!older) return;
  // Of somebody else's file, the superuser keeps the owner; everyone else becomes it.
  const bool own = older->st_uid == geteuid() && older->st_gid == getegid();
  if (!own && fchown(descriptor_, older->st_uid, older->st_gid) != 0 && errno != EPERM) fail(errno);
  if (fchmod(descriptor_, older->st_mode & 0777) != 0) fail(errno);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::write_at(std::uint64_t place, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(place));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    place += static_cast<std::uint64_t>(written);
  }
}

void OutputFile::finish() {
  if (descriptor_ < 0) return;
  // A file on a network disk learns only here that the disk is full. No fsync: it would cost milliseconds a sample, and
  // a crash of the whole machine loses nothing that the same seeds don't bring back.
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail(errno);
}

void OutputFile::commit() {
  finish();
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  temporary_.clear();
}

void OutputFile::discard() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
  descriptor_ = -1;
  temporary_.clear();
}

void OutputFile::fail(int system_error) {
  discard();
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
    case ENAMETOOLONG:
      way_out = "give a shorter name";
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
  OutputFile file(path);
  file.write(bytes);
  file.commit();
}

void require_writable(const std::string& path) { const OutputFile probe(path); }

}  // namespace onestep
