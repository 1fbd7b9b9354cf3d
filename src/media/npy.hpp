#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <span>
#include <string>

#include "array_file.hpp"

namespace onestep {

/// What stands before the numbers in a .npy file. Throws Error (usage) where shape and values don't fit.
/// Source: NumPy, numpy.lib.format.
std::string npy_header(const ArrayView& array);

std::span<const std::byte> array_bytes(const ArrayView& array);

/// A .npy of `size` bytes from `stream`; `file` is for messages.
FloatArray read_npy(std::istream& stream, std::uint64_t size, const std::string& file);

}  // namespace onestep
