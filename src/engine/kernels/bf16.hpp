#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.hpp"

/// Sums of products of bf16 numbers: 8 bits of precision, the exponents of float32. A product of two is exact in
/// float32, and the sums are float32.
namespace onestep::kernels::bf16 {

/// The upper half of a float32.
using Number = std::uint16_t;

/// What multiplies. All of them sum a value's products in one order each, whichever rows are computed with it.
enum class Unit {
  emulated,  ///< float32 instructions: any CPU, no faster than float32.
  avx512,    ///< AVX512-BF16, twice as fast as float32.
  amx,       ///< AMX-BF16, up to sixteen times.
};

/// Those that this CPU has, the fastest last; the first is always `emulated`.
const std::vector<Unit>& units();
const char* name(Unit unit);

/// Numbers into which the channels of a row are grouped: rows are filled with zeros up to a multiple of it.
inline constexpr std::int64_t depth_step = 32;
/// Columns that a panel of packed weights holds; rows that are computed at once.
inline constexpr std::int64_t panel_width = 32, tile_rows = 32;

constexpr std::int64_t padded(std::int64_t depth) { return (depth + depth_step - 1) / depth_step * depth_step; }

/// The nearest numbers, ties to even, and zeros up to padded(count). x may be read up to `overread` floats further.
void convert(const float* x, std::int64_t count, Number* y);

/// Numbers that pack() writes.
std::int64_t packed_size(std::int64_t taps, std::int64_t depth, std::int64_t columns);

/// Weights [columns][depth][taps] as panels side by side, filled with zeros.
void pack(const float* weights, std::int64_t taps, std::int64_t depth, std::int64_t columns, Number* packed);

/// Rows whose taps are at fixed distances: row m of tap t is at rows + offsets[t] + m * stride, padded(depth) numbers.
/// Readable up to the next multiple of tile_rows.
struct Operand {
  const Number* rows = nullptr;
  std::int64_t stride = 0;
  const std::int64_t* offsets = nullptr;  ///< [taps]
};

/// y[m][n] = epilogue(sum over t < taps, k < depth of a[t][m][k] * weights[n][k][t]) for the columns of some panels.
struct Multiplication {
  std::int64_t rows = 0, taps = 1, depth = 0;
  Operand a = {};
  const Number* packed = nullptr;  ///< The weights, by pack().
  std::int64_t columns = 0;
  std::int64_t first_panel = 0, last_panel = 0;  ///< Those that are computed; the last is not.
  float* const* outputs = nullptr;               ///< [rows]: each to [columns] floats; null: the row is not wanted.
  Epilogue epilogue = {};
};
void multiply(Unit unit, const Multiplication& product);

/// The sums of a tile [rows][panel_width], where they belong: the columns from `column` on.
void finish_tile(const float* sums, std::int64_t rows, std::int64_t column, std::int64_t columns, float* const* outputs,
                 const Epilogue& epilogue, std::int64_t first_row);

/// multiply() of one unit, whose depth is padded.
using Multiply = void (*)(const Multiplication& product);

/// Null unless the CPU has them and the system lets this program use them.
Multiply find_avx512();
Multiply find_amx();

}  // namespace onestep::kernels::bf16
