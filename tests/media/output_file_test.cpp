#include "output_file.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "child_process.hpp"
#include "file_pattern.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(OutputFile, ReplacesAnOlderOneAndKeepsItsMode) {
  const TemporaryFolder folder;
  const std::string file = folder / "a.txt";
  write_file(file, bytes("old"));
  for (const mode_t mode : {0600, 0640, 0777}) {
    chmod(file.c_str(), mode);
    require_writable(file);
    EXPECT_EQ(bytes_of(file).substr(0, 3), "old");
    write_file(file, bytes("old and new"));
    EXPECT_EQ(bytes_of(file), "old and new");
    struct stat about;
    stat(file.c_str(), &about);
    EXPECT_EQ(about.st_mode & 07777, mode);
  }
  EXPECT_EQ(folder.file_count(), 1);
}

TEST(OutputFile, IsTheOneThatALinkNames) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "far");
  std::filesystem::create_symlink("far/link", folder / "link");
  std::filesystem::create_symlink("../a.txt", folder / "far/link");
  std::filesystem::create_directory_symlink("far", folder / "near");
  for (const char* content : {"not there yet", "there"}) {
    write_file(folder / "near/link", bytes(content));
    write_file(folder / "link", bytes(content));
    EXPECT_EQ(bytes_of(folder / "a.txt"), content);
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "far/link"));
  }
  EXPECT_EQ(folder.file_count(), 4);
}

TEST(OutputFile, ThatCantBeReachedIsRefusedBeforehand) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& name) {
    const std::string error = error_of([&] { require_writable(folder / name); });
    const std::string start = "file: " + (folder / name) + ": can't be written: ";
    return error.starts_with(start) ? error.substr(start.size()) : error;
  };
  std::filesystem::create_symlink("round", folder / "round");
  EXPECT_EQ(refusal("round"), "Too many levels of symbolic links; give another path");
  EXPECT_EQ(refusal("round/a.txt"), "Too many levels of symbolic links; give another path");
  EXPECT_EQ(refusal(std::string(256, 'x')), "File name too long; give a shorter name");
  EXPECT_EQ(refusal(std::string(255, 'x')), "nothing thrown");  // though the temporary name differs
  std::filesystem::create_symlink("none/a.txt", folder / "astray");
  EXPECT_EQ(refusal("astray"),
            "No such file or directory; make the folder " + (folder / "none") + " first, or give another path");
  put_bytes(folder / "file", "x");
  EXPECT_EQ(refusal("file/a.txt"),
            "Not a directory; make the folder " + (folder / "file") + " first, or give another path");
  std::filesystem::permissions(folder / "file", std::filesystem::perms::owner_read);
  std::filesystem::create_directory(folder / "private");
  std::filesystem::permissions(folder / "private", std::filesystem::perms::none);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  as_nobody([&] {
    EXPECT_EQ(refusal("file"), "Permission denied; give a path that you may write to");
    EXPECT_EQ(refusal("private/a.txt"), "Permission denied; give a path that you may write to");
  });
  std::filesystem::permissions(folder / "private", std::filesystem::perms::owner_all);
}

TEST(OutputFile, InAMissingFolderIsRefused) {
  const TemporaryFolder folder;
  const std::string file = folder / "none/a.txt";
  EXPECT_EQ(error_of([&] { require_writable(file); }),
            "file: " + file + ": can't be written: No such file or directory; make the folder " + (folder / "none") +
                " first, or give another path");
}

TEST(OutputFile, OverAFolderOrADeviceIsRefused) {
  const TemporaryFolder folder;
  const std::string names_a_folder = ": names a folder; give a file in it";
  EXPECT_EQ(error_of([&] { require_writable(folder.path()); }), "file: " + folder.path() + names_a_folder);
  EXPECT_EQ(error_of([&] { require_writable(folder / "none/"); }), "file: " + (folder / "none/") + names_a_folder);
  EXPECT_EQ(error_of([&] { require_writable(""); }), "file: an empty path" + names_a_folder);
  EXPECT_EQ(error_of([&] { require_writable("/dev/null"); }),
            "file: /dev/null: is a device or a pipe; give the path of an ordinary file");
}

/// What is said of a megabyte on a disk that takes less.
void expect_refusal(const std::string& folder, const std::string& reason) {
  const std::string file = folder + "/a";
  EXPECT_EQ(error_of([&] { write_file(file, bytes(std::string(1 << 20, 'x'))); }),
            "file: " + file + ": can't be written: " + reason);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(OutputFile, BeyondTheLimitOfFileSizesLeavesNothing) {
  const TemporaryFolder folder;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{1 << 16, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  expect_refusal(folder.path(),
                 "File too large; raise the limit on file sizes (ulimit -f), or write fewer samples "
                 "to a file");
  setrlimit(RLIMIT_FSIZE, &limit);
}

TEST(OutputFile, OnAFullDiskLeavesNothing) {
  const TemporaryFolder folder;
  // A disk of 64 KiB, seen by a child process alone.
  constexpr int no_mount = 77;
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=65536") != 0) {
      _exit(no_mount);
    }
    expect_refusal(folder.path(), "No space left on device; free some space, or give a path on another disk");
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == no_mount) GTEST_SKIP() << "this system lets no test mount a disk";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(FilePattern, NamesOneFileASeed) {
  EXPECT_FALSE(is_file_pattern("out/a.png"));
  EXPECT_TRUE(is_file_pattern("out/{seed}.png"));
  EXPECT_EQ(file_of_seed("out/{seed:06d}.png", 42), "out/000042.png");
  EXPECT_EQ(file_of_seed("{seed}-{seed:4d}.png", 42), "42-  42.png");
  EXPECT_EQ(file_of_seed("{{a}}{seed:02d}", 12345), "{a}12345");
  EXPECT_EQ(file_of_seed("{seed:020d}", ~std::uint64_t{0}), "18446744073709551615");
}

TEST(FilePattern, WithAnUnknownFieldOrFormatIsRefused) {
  const std::pair<std::string, std::string> cases[] = {
      {"{index}.png", "holds {index}, which is no known field"},
      {"{seed:06x}.png", "holds {seed:06x}, which is no known field"},
      {"{seed:99d}.png", "holds {seed:99d}, which is no known field"},
      {"{seed", "has a { without its }"},
      {"seed}", "has a } without its {"},
      {"{{a}}.png", "holds no seed, so that all samples would get one name"},
  };
  for (const auto& [pattern, message] : cases) {
    EXPECT_EQ(error_of([&, &pattern = pattern] { file_of_seed(pattern, 1); }),
              "usage: the file name pattern " + pattern + " " + message + "; write {seed} or {seed:06d}");
  }
}

}  // namespace
}  // namespace onestep
