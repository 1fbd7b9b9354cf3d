#pragma once

#include <cstdint>
#include <limits>
#include <string>

/// The inner loops of the engine, compiled for several instruction sets; what this CPU has is chosen at run time.
///
/// Samples are channels-last: a row is one pixel, its channels side by side. Rows are given by pointers, one each, so
/// that padding, strides, upsampling, concatenation and batches are all a matter of where the pointers point. Every
/// value is computed in the same order whichever rows are computed with it and whatever the width of the vectors is: a
/// sample alone is the same, bit for bit, as in a batch.
///
/// A kernel may read, and not use, up to `overread` floats past the end of a row: every buffer is that much longer.
namespace onestep::kernels {

inline constexpr std::int64_t overread = 64;

/// What a value becomes. SiLU is x sigmoid(x); GELU x Phi(x), with the normal distribution Phi, or with its
/// approximation by a tanh (Hendrycks & Gimpel 2016); Mish x tanh(log(1 + exp(x))) (Misra 2019); leaky
/// ReLU max(x, 0) + slope min(x, 0); a clamp min(max(x, low), high), ReLU with low = 0.
struct Activation {
  enum Kind { none, silu, gelu, gelu_tanh, mish, sigmoid, tanh, leaky_relu, clamp };
  Kind kind = none;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  float slope = 0;
};
/// " + SiLU", for people.
std::string with_activation(Activation activation);

/// The name of the instruction set in use, such as AVX2.
const char* instruction_set();

/// What becomes of sums before they are stored: y = activation(sum + addend + residual_scale * residual).
struct Epilogue {
  const float* const* addends = nullptr;    ///< [rows]: each to [columns] floats; null: none.
  const float* const* residuals = nullptr;  ///< [rows]: each to [columns] floats; null: none.
  float residual_scale = 1;
  Activation activation = {};
};

/// Columns that a panel of packed weights holds.
std::int64_t panel_width();

/// Panels that hold so many columns.
inline std::int64_t panels(std::int64_t columns) { return (columns + panel_width() - 1) / panel_width(); }

/// Floats that pack() writes for `columns` columns of `depth` weights.
std::int64_t packed_size(std::int64_t depth, std::int64_t columns);

/// Weights [depth][columns], element (k, n) at weights[k * depth_stride + n * column_stride], as panels side by side;
/// the last one is filled with zeros.
void pack(const float* weights, std::int64_t depth, std::int64_t columns, std::int64_t depth_stride,
          std::int64_t column_stride, float* packed);

/// y[m][n] = epilogue(sum over t < taps, k < depth of a[t][m][k] * weights[t * depth + k][n]) for the columns of some
/// panels.
struct Multiplication {
  std::int64_t rows = 0, taps = 1, depth = 0;
  const float* const* a = nullptr;  ///< [taps][rows]: each to [depth] floats.
  const float* packed = nullptr;    ///< The weights, by pack().
  std::int64_t columns = 0;
  std::int64_t first_panel = 0, last_panel = 0;  ///< Those that are computed; the last is not.
  float* const* outputs = nullptr;               ///< [rows]: each to [columns] floats.
  const Epilogue* epilogue = nullptr;            ///< Null: none.
  /// The sums go on from what stands in the outputs, as if they had been one: whole panels of it, and no epilogue.
  bool continued = false;
};
void multiply(const Multiplication& product);

// Winograd's minimal filtering F(m x m, 3 x 3) (Winograd 1980; Lavin & Gray 2016): a tile of (m + 2)^2 inputs gives m^2
// outputs with (m + 2)^2 multiplications a channel pair, in place of 9 m^2. m is 2 or 4.

/// U = G g G^T of one panel of up to `winograd_depth` filters. packed: [depth][9][panel_width()]; U: a packed panel of
/// `depth` weights at transformed + position * winograd_filter_stride().
void winograd_filters(std::int64_t m, const float* packed, std::int64_t depth, float* transformed);

/// As many as are still in the cache when they are multiplied.
inline constexpr std::int64_t winograd_depth = 64;
std::int64_t winograd_filter_stride();

/// V = B^T d B of one tile. pixels: (m + 2)^2 pointers to channels. V at transformed + position * position_stride.
void winograd_input(std::int64_t m, const float* const* pixels, std::int64_t channels, float* transformed,
                    std::int64_t position_stride);

/// Y = A^T M A of one tile, with an epilogue whose rows are the m^2 pixels; outputs[i] null: outside the picture. The
/// tile's products are at products + position * position_stride.
void winograd_output(std::int64_t m, const float* products, std::int64_t position_stride, std::int64_t columns,
                     float* const* outputs, const Epilogue& epilogue);

/// Sums over rows of (x - shift) and (x - shift)^2, a channel each, added to sums and squares; shift: [channels].
void moments(const float* x, std::int64_t rows, std::int64_t row_stride, std::int64_t channels, const float* shift,
             double* sums, double* squares);

/// Rows of channels, `stride` floats apart.
struct Input {
  const float* rows = nullptr;
  std::int64_t stride = 0;
};
struct Output {
  float* rows = nullptr;
  std::int64_t stride = 0;
};

/// y = activation(multiplier * x + addend + residual_scale * residual).
struct Affine {
  std::int64_t rows = 0, channels = 0;
  Input x = {};
  const float* multiplier = nullptr;  ///< [channels]
  const float* addend = nullptr;      ///< [channels]
  Input residual = {};                ///< Without rows: none.
  float residual_scale = 1;
  Activation activation = {};
  Output y = {};
};
void affine(const Affine& map);

/// How epsilon keeps a deviation s from being nothing to divide by: sqrt(s^2 + epsilon), s + epsilon, max(s, epsilon).
enum class Floor { variance, sum, least };

/// y = activation(multiplier * (x - mean) / floor(deviation, epsilon) + addend), with the mean and the deviation of
/// each row (Ba et al. 2016), or, not `centered`, with 0 and the root of the mean square (Zhang & Sennrich 2019).
struct RowNormalization {
  std::int64_t rows = 0, channels = 0;
  Input x = {};
  const float* multiplier = nullptr;  ///< [channels]
  const float* addend = nullptr;      ///< [channels]
  double epsilon = 0;
  Floor floor = Floor::variance;
  bool centered = true;
  Activation activation = {};
  Output y = {};
};
void normalize_rows(const RowNormalization& normalization);

/// y = a * b, a value each.
void multiply_elements(std::int64_t rows, std::int64_t channels, Input a, Input b, Output y);

// One pixel of what leaves channels apart; x[t] null: padding.

/// y[c] = sum over t of x[t][c] * weights[t][c].
void depthwise(const float* const* x, std::int64_t taps, std::int64_t channels, const float* weights, float* y);

/// y[c] = sum over t of x[t][c] * weights[t].
void weighted_sum(const float* const* x, std::int64_t taps, std::int64_t channels, const float* weights, float* y);

/// y[c] = max over t of x[t][c], NaN if one is.
void largest(const float* const* x, std::int64_t taps, std::int64_t channels, float* y);

/// x = softmax(scale * x) over `count` values.
void softmax(float* x, std::int64_t count, float scale);

/// y = softmax(x) over the rows, each channel by itself.
void softmax_over_rows(std::int64_t rows, std::int64_t channels, Input x, Output y);

}  // namespace onestep::kernels
