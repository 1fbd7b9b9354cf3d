#pragma once

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

namespace onestep {

/// The most memory, in bytes, that a child process of this one holds while it does `action`; what it expects in vain
/// fails the test.
template <typename Action>
std::int64_t in_child(Action action) {
  const pid_t child = fork();
  if (child == 0) {
    action();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

/// The most memory that `action` takes at one time, in bytes.
template <typename Action>
std::int64_t memory_use(Action action) {
  const std::int64_t before = in_child([] {});
  return in_child(action) - before;
}

/// Does `action` as a user to whom something can be forbidden.
template <typename Action>
void as_nobody(Action action) {
  in_child([&] {
    constexpr uid_t nobody = 65534;
    if (geteuid() == 0) {
      ASSERT_EQ(setgroups(0, nullptr), 0);
      ASSERT_EQ(setresgid(nobody, nobody, nobody), 0);
      ASSERT_EQ(setresuid(nobody, nobody, nobody), 0);
    }
    action();
  });
}

}  // namespace onestep
