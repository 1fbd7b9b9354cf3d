#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace onestep {

/// "[3, 28, 28]".
std::string shape_text(std::span<const std::int64_t> shape);

/// Throws Error (usage) unless `shape` has no negative size and describes exactly `count` values.
void require_shape(std::size_t count, std::span<const std::int64_t> shape);

/// Throws Error (usage) unless both ends are finite and low < high.
void require_range(double low, double high);

/// Where `value` lies between low and high, clamped to [0, 1]. Throws Error (numerical) for NaN and infinity, which no
/// pixel and no sound can show.
double fraction(float value, double low, double high);

}  // namespace onestep
