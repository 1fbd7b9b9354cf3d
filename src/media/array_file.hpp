#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace onestep {

/// Somebody else's numbers, in C order.
struct ArrayView {
  std::variant<std::span<const float>, std::span<const std::int64_t>, std::span<const std::uint64_t>> values;
  std::vector<std::int64_t> shape;
};

struct FloatArray {
  std::vector<float> values;  ///< In C order.
  std::vector<std::int64_t> shape;
};

// Each throws Error: usage where a shape does not fit its values, file for all that is wrong with a file.

/// NumPy's .npy, format 1.0.
void write_npy(const std::string& file, const ArrayView& array);

/// NumPy's .npz: arrays by name, stored uncompressed as numpy.savez does, since samples hardly shrink. The same arrays
/// make the same bytes.
void write_npz(const std::string& file, const std::vector<std::pair<std::string, ArrayView>>& arrays);

/// Reads a .npy of little-endian float32 in C order, formats 1 to 3; nothing is allocated that the file does not fill.
FloatArray read_npy(const std::string& file);

/// The array `name` of a .npz, under the same rules, stored or compressed.
FloatArray read_npz(const std::string& file, const std::string& name);

}  // namespace onestep
