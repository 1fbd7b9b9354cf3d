#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace onestep {

/// Throws Error (usage).
[[noreturn]] void refuse(const std::string& message);

/// Throws Error (usage) unless value is finite and in [low, high]; high may be infinite.
void require_within(const std::string& name, double value, double low, double high);

/// Throws Error (usage) unless value is in [low, high].
void require_whole(const std::string& name, std::int64_t value, std::int64_t low, std::int64_t high);

/// Throws Error (usage) on NaN and infinity, with its place.
void require_finite(const std::string& name, const std::vector<float>& values);

}  // namespace onestep
