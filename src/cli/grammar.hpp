#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace onestep {

// What is written on the command line in a grammar of its own.

/// Of one command: their seeds alone take 80 MB.
inline constexpr std::int64_t most_samples = 10'000'000;

/// "64" -> 64; nothing where the text is no whole number of 0 or more, or one above 2^64 - 1.
std::optional<std::uint64_t> parse_whole(const std::string& text);

/// "640x480" -> 640, 480. Throws Error (usage), which calls it `name`.
std::pair<std::int64_t, std::int64_t> parse_extent(const std::string& text, const std::string& name);

/// "0-63,99" -> 0, 1, ..., 63, 99. Throws Error (usage).
std::vector<std::uint64_t> parse_seeds(const std::string& text);

/// Seeds as given, or 0..count-1. Throws Error (usage) on both at odds, and on a count out of range.
std::vector<std::uint64_t> choose_seeds(const std::string& text, std::optional<std::int64_t> count,
                                        std::int64_t otherwise);

}  // namespace onestep
