#pragma once

#include <vector>

namespace onestep {

/// Throws Error (usage) unless levels is not empty, finite, falling, and above `lowest` throughout.
void require_falling(const std::vector<double>& levels, double lowest);

}  // namespace onestep
