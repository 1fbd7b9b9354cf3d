#pragma once

#include <filesystem>

namespace onestep {

/// Processors that this process may use: cores (not their threads) of its affinity mask, no more than its control
/// groups pay for, rounded to the nearest; at least 1.
int available_processors();

/// What the control groups pay for, in processors: the least quota of this process's group and those above, of version
/// 1 or 2. Infinity: no limit. root: "/" but in tests.
double processor_quota(const std::filesystem::path& root);

}  // namespace onestep
