#pragma once

#include <cstdint>
#include <string>

namespace onestep {

/// Whether `path` names one file a sample: it holds a brace.
bool is_file_pattern(const std::string& path);

/// The file of one sample: "out/{seed:06d}.png" with seed 42 gives "out/000042.png". {seed}, {seed:6d} (padded with
/// spaces) and {seed:06d} (with zeros; widths up to 20) are known, once or more; {{ and }} stand for braces. Throws
/// Error (usage) for another field or format, a stray brace, and a pattern without a seed, whose samples would all get
/// one name.
std::string file_of_seed(const std::string& pattern, std::uint64_t seed);

}  // namespace onestep
