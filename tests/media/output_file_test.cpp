#include "output_file.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "array_file.hpp"
#include "file_pattern.hpp"
#include "picture_file.hpp"
#include "sound_file.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(OutputFile, AppearsWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const std::string file = folder / "a.txt";
  write_file(file, bytes("old"));
  {
    OutputFile output(file);
    output.write(bytes("new"));
    EXPECT_EQ(bytes_of(file), "old");
  }
  EXPECT_EQ(bytes_of(file), "old");
  EXPECT_EQ(folder.file_count(), 1);
  require_writable(file);
  EXPECT_EQ(bytes_of(file), "old");
  write_file(file, bytes("new"));
  EXPECT_EQ(bytes_of(file), "new");
  EXPECT_EQ(folder.file_count(), 1);
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

/// What each writer says when it writes about a megabyte to a disk that takes less.
void expect_refusals(const std::string& folder, const std::string& reason) {
  const std::vector<float> values(1 << 18);
  const ArrayView array{std::span(values), {1 << 18}};
  const std::vector<std::int64_t> sound{1, 1 << 18};
  const std::string text(1 << 20, 'x');
  const auto expect = [&](const std::string& name, auto write) {
    const std::string file = folder + "/" + name;
    EXPECT_EQ(error_of([&] { write(file); }), "file: " + file + ": can't be written: " + reason);
    EXPECT_TRUE(std::filesystem::is_empty(folder)) << name;
  };
  expect("a.npy", [&](const std::string& file) { write_npy(file, array); });
  expect("a.npz", [&](const std::string& file) { write_npz(file, {{"samples", array}}); });
  expect("a.wav", [&](const std::string& file) { write_wav(file, values, sound, -1, 1, 16000); });
  expect("a.png", [&](const std::string& file) { write_png(file, blank_picture(4, 4, 1), {{"Comment", text}}); });
}

TEST(OutputFile, BeyondTheLimitOfFileSizesLeavesNothing) {
  const TemporaryFolder folder;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{1 << 16, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  expect_refusals(folder.path(),
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
    expect_refusals(folder.path(), "No space left on device; free some space, or give a path on another disk");
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
    EXPECT_EQ(error_of([&] { file_of_seed(pattern, 1); }),
              "usage: the file name pattern " + pattern + " " + message + "; write {seed} or {seed:06d}");
  }
}

}  // namespace
}  // namespace onestep
