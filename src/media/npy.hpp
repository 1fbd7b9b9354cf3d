#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "array_file.hpp"

namespace onestep {

/// What stands before the numbers in a .npy file. Throws Error (usage) where shape and values don't fit.
/// Source: NumPy, numpy.lib.format.
std::string npy_header(const ArrayView& array);
/// The same by NumPy's name of the type, such as "<f4".
std::string npy_header(const std::string& type, const std::vector<std::int64_t>& shape);

/// NumPy's name of its type.
const char* type_name(const ArrayView& array);

/// The numbers as they lie in memory.
std::vector<std::span<const std::byte>> array_bytes(const ArrayView& array);

}  // namespace onestep
