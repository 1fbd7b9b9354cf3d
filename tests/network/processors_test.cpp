#include "processors.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

namespace onestep {
namespace {

namespace fs = std::filesystem;

/// A machine's control groups, as far as they are looked at.
class Quota : public testing::Test {
 protected:
  Quota() : root_(fs::temp_directory_path() / ("onestep_quota_" + std::to_string(getpid()))) {
    fs::create_directories(root_);
  }
  ~Quota() override { fs::remove_all(root_); }

  void write(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text << '\n';
  }

  fs::path root_;
};

TEST_F(Quota, IsThatOfTheGroupOfVersion2) {
  write("proc/self/cgroup", "0::/user/shell");
  write("sys/fs/cgroup/user/shell/cpu.max", "150000 100000");
  EXPECT_EQ(processor_quota(root_), 1.5);
}

TEST_F(Quota, IsTheLeastOfTheGroupsAbove) {
  write("proc/self/cgroup", "0::/user/shell");
  write("sys/fs/cgroup/user/cpu.max", "50000 100000");
  write("sys/fs/cgroup/user/shell/cpu.max", "max 100000");
  EXPECT_EQ(processor_quota(root_), 0.5);
}

TEST_F(Quota, InAContainerIsThatOfTheTop) {
  write("proc/self/cgroup", "0::/docker/of/the/world/outside");
  write("sys/fs/cgroup/cpu.max", "300000 100000");
  EXPECT_EQ(processor_quota(root_), 3);
}

TEST_F(Quota, IsThatOfVersion1) {
  write("proc/self/cgroup", "4:cpu,cpuacct:/box\n3:memory:/box\n0::/");
  write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "200000");
  write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000");
  EXPECT_EQ(processor_quota(root_), 2);
}

TEST_F(Quota, IsNoneWhereNothingSaysSo) {
  EXPECT_TRUE(std::isinf(processor_quota(root_)));
  write("proc/self/cgroup", "4:cpu:/\nodd line\n0::/");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  write("sys/fs/cgroup/cpu.max", "max 100000");
  EXPECT_TRUE(std::isinf(processor_quota(root_)));
}

TEST(Processors, AreThoseOfTheMask) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_GE(available_processors(), 1);
  EXPECT_LE(available_processors(), CPU_COUNT(&before));
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(available_processors(), 1);
  sched_setaffinity(0, sizeof before, &before);
}

}  // namespace
}  // namespace onestep
