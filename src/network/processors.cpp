#include "processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <thread>

namespace onestep {
namespace {

namespace fs = std::filesystem;

constexpr double no_limit = std::numeric_limits<double>::infinity();

double quota_of(double microseconds, double period) {
  return microseconds > 0 && period > 0 ? microseconds / period : no_limit;
}

/// Version 2: "QUOTA PERIOD", QUOTA may be "max".
double quota_in(const fs::path& group) {
  double quota = 0, period = 0;
  std::ifstream(group / "cpu.max") >> quota >> period;
  return quota_of(quota, period);
}

/// Version 1: a file each; -1: none.
double quota_in_v1(const fs::path& group) {
  double quota = 0, period = 0;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  return quota_of(quota, period);
}

/// Of a group and those above it. In a container the group's name may be that of the world outside: then the top of
/// what is mounted is its own.
double least(const fs::path& mount, const fs::path& group, double (*quota)(const fs::path&)) {
  double least = quota(mount);
  fs::path here = mount;
  for (const fs::path& name : group.relative_path()) least = std::min(least, quota(here /= name));
  return least;
}

/// Cores whose threads this process may run on.
int cores_of_mask() {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return static_cast<int>(std::thread::hardware_concurrency());
  std::set<std::string> cores;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &mask)) continue;
    std::string threads;  // of the same core
    std::ifstream("/sys/devices/system/cpu/cpu" + std::to_string(i) + "/topology/thread_siblings_list") >> threads;
    cores.insert(threads.empty() ? "unknown " + std::to_string(i) : threads);
  }
  return static_cast<int>(cores.size());
}

}  // namespace

double processor_quota(const fs::path& root) {
  const fs::path mount = root / "sys/fs/cgroup";
  double quota = no_limit;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "ID:CONTROLLERS:GROUP"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string group = line.substr(second + 1);
    std::istringstream controllers(line.substr(first + 1, second - first - 1));
    if (first + 1 == second) quota = std::min(quota, least(mount, group, quota_in));
    for (std::string name; std::getline(controllers, name, ',');) {
      if (name == "cpu") quota = std::min(quota, least(mount / "cpu", group, quota_in_v1));
    }
  }
  return quota;
}

int available_processors() {
  const double most = std::max(1, cores_of_mask());
  return static_cast<int>(std::clamp(std::round(processor_quota("/")), 1.0, most));
}

}  // namespace onestep
