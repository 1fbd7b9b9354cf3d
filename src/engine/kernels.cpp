#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, which includes this file once for each instruction set.
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels-inl.hpp"

#ifndef ONESTEP_WINOGRAD_POINTS
#define ONESTEP_WINOGRAD_POINTS
namespace onestep::kernels {
constexpr float winograd_a = 0.75f, winograd_b = 1.5f;
}
#endif

HWY_BEFORE_NAMESPACE();
namespace onestep::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t vectors = 2;  // a panel's width
constexpr std::int64_t panel = vectors * lanes;
// Rows computed at once: as many as keep all sums, a panel's row and one more in registers.
constexpr int tile_rows = lanes >= 16 ? 12 : lanes == 8 ? 6 : 4;

template <int rows>
HWY_NOINLINE void multiply_tile(std::int64_t taps, std::int64_t depth, const float* const* a, std::int64_t tap_stride,
                                const float* HWY_RESTRICT b, float* const* outputs, std::int64_t c,
                                std::int64_t columns, const Epilogue* epilogue, std::int64_t row) {
  V sums[rows][vectors];
  for (int m = 0; m < rows; ++m) {
    for (int v = 0; v < vectors; ++v) sums[m][v] = hn::Zero(d);
  }
  for (std::int64_t t = 0; t < taps; ++t, a += tap_stride) {
    const float* HWY_RESTRICT in[rows];
    for (int m = 0; m < rows; ++m) in[m] = a[m];
    for (std::int64_t k = 0; k < depth; ++k, b += panel) {
      const V b0 = hn::LoadU(d, b), b1 = hn::LoadU(d, b + lanes);
      for (int m = 0; m < rows; ++m) {
        const V value = hn::Set(d, in[m][k]);
        sums[m][0] = hn::MulAdd(value, b0, sums[m][0]);
        sums[m][1] = hn::MulAdd(value, b1, sums[m][1]);
      }
    }
  }
  for (int m = 0; m < rows; ++m) {
    for (int v = 0; v < vectors; ++v) {
      const std::int64_t first = c + v * lanes;
      if (first >= columns) break;
      const V sum = epilogue ? finish(sums[m][v], *epilogue, row + m, first) : sums[m][v];
      store_some(sum, outputs[m] + first, columns - first);
    }
  }
}

using Tile = void (*)(std::int64_t, std::int64_t, const float* const*, std::int64_t, const float*, float* const*,
                      std::int64_t, std::int64_t, const Epilogue*, std::int64_t);

template <int... rows>
constexpr std::array<Tile, sizeof...(rows)> tiles(std::integer_sequence<int, rows...>) {
  return {multiply_tile<rows + 1>...};
}

void multiply(std::int64_t rows, std::int64_t taps, std::int64_t depth, const float* const* a, const float* packed,
              std::int64_t columns, std::int64_t first_panel, std::int64_t last_panel, float* const* outputs,
              const Epilogue* epilogue) {
  static constexpr auto tile = tiles(std::make_integer_sequence<int, tile_rows>());
  // As few tiles as can be, of nearly the same height: one of a single row takes as long as one of several.
  const std::int64_t blocks = (rows + tile_rows - 1) / tile_rows;
  for (std::int64_t p = first_panel; p < last_panel; ++p) {
    const float* b = packed + p * taps * depth * panel;
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t first = block * rows / blocks, last = (block + 1) * rows / blocks;
      tile[static_cast<std::size_t>(last - first - 1)](taps, depth, a + first, rows, b, outputs + first, p * panel,
                                                       columns, epilogue, first);
    }
  }
}

std::int64_t panel_width() { return panel; }

void pack(const float* weights, std::int64_t depth, std::int64_t columns, std::int64_t depth_stride,
          std::int64_t column_stride, float* packed) {
  for (std::int64_t first = 0; first < columns; first += panel) {
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t i = 0; i < panel; ++i) {
        const std::int64_t n = first + i;
        *packed++ = n < columns ? weights[k * depth_stride + n * column_stride] : 0.0f;
      }
    }
  }
}

// B^T of F(2, 3) and F(4, 3), one column of inputs to one column of transformed values (Lavin & Gray 2016, section 4).
HWY_INLINE void transform_input2(const V* x, std::int64_t stride, V* y, std::int64_t y_stride) {
  const V x0 = x[0], x1 = x[stride], x2 = x[2 * stride], x3 = x[3 * stride];
  y[0] = hn::Sub(x0, x2);
  y[y_stride] = hn::Add(x1, x2);
  y[2 * y_stride] = hn::Sub(x2, x1);
  y[3 * y_stride] = hn::Sub(x1, x3);
}

// The points of F(4, 3) are 0, a, -a, b, -b and infinity. With a = 3/4 and b = 3/2, of which all powers used are exact,
// the largest rounding error is a quarter of that of the usual 1 and 2 (Barabasz et al. 2020 show how much the points
// matter).
constexpr float a1 = winograd_a, a2 = a1 * a1, a3 = a2 * a1, b1 = winograd_b, b2 = b1 * b1, b3 = b2 * b1;

HWY_INLINE void transform_input4(const V* x, std::int64_t stride, V* y, std::int64_t y_stride) {
  const V x0 = x[0], x1 = x[stride], x2 = x[2 * stride], x3 = x[3 * stride], x4 = x[4 * stride], x5 = x[5 * stride];
  const V a = hn::Set(d, a1), b = hn::Set(d, b1), aa = hn::Set(d, a2), bb = hn::Set(d, b2);
  const V product = hn::Set(d, a2 * b2), sum = hn::Set(d, a2 + b2);
  const V even_a = hn::NegMulAdd(bb, x2, x4), odd_a = hn::Mul(a, hn::NegMulAdd(bb, x1, x3));
  const V even_b = hn::NegMulAdd(aa, x2, x4), odd_b = hn::Mul(b, hn::NegMulAdd(aa, x1, x3));
  y[0] = hn::MulAdd(product, x0, hn::NegMulAdd(sum, x2, x4));
  y[y_stride] = hn::Add(even_a, odd_a);
  y[2 * y_stride] = hn::Sub(even_a, odd_a);
  y[3 * y_stride] = hn::Add(even_b, odd_b);
  y[4 * y_stride] = hn::Sub(even_b, odd_b);
  y[5 * y_stride] = hn::MulAdd(product, x1, hn::NegMulAdd(sum, x3, x5));
}

// A^T.
HWY_INLINE void transform_output2(const V* x, std::int64_t stride, V* y, std::int64_t y_stride) {
  const V x1 = x[stride], x2 = x[2 * stride];
  y[0] = hn::Add(x[0], hn::Add(x1, x2));
  y[y_stride] = hn::Sub(hn::Sub(x1, x2), x[3 * stride]);
}

HWY_INLINE void transform_output4(const V* x, std::int64_t stride, V* y, std::int64_t y_stride) {
  const V x1 = x[stride], x2 = x[2 * stride], x3 = x[3 * stride], x4 = x[4 * stride];
  const V sum = hn::Add(x1, x2), difference = hn::Sub(x1, x2), sum2 = hn::Add(x3, x4), difference2 = hn::Sub(x3, x4);
  y[0] = hn::Add(x[0], hn::Add(sum, sum2));
  y[y_stride] = hn::MulAdd(hn::Set(d, b1), difference2, hn::Mul(hn::Set(d, a1), difference));
  y[2 * y_stride] = hn::MulAdd(hn::Set(d, b2), sum2, hn::Mul(hn::Set(d, a2), sum));
  y[3 * y_stride] = hn::MulAdd(hn::Set(d, b3), difference2, hn::MulAdd(hn::Set(d, a3), difference, x[5 * stride]));
}

template <std::int64_t m>
HWY_INLINE void transform_input(const V* x, std::int64_t stride, V* y, std::int64_t y_stride) {
  if constexpr (m == 2) transform_input2(x, stride, y, y_stride);
  if constexpr (m == 4) transform_input4(x, stride, y, y_stride);
}

template <std::int64_t m>
HWY_INLINE void transform_output(const V* x, std::int64_t stride, V* y, std::int64_t y_stride) {
  if constexpr (m == 2) transform_output2(x, stride, y, y_stride);
  if constexpr (m == 4) transform_output4(x, stride, y, y_stride);
}

template <std::int64_t m>
void input_of(const float* const* pixels, std::int64_t channels, float* transformed, std::int64_t position_stride) {
  constexpr std::int64_t n = m + 2;
  for (std::int64_t c = 0; c < channels; c += lanes) {
    V columns[n * n];
    for (std::int64_t j = 0; j < n; ++j) {
      V x[n];
      for (std::int64_t i = 0; i < n; ++i) x[i] = hn::LoadU(d, pixels[i * n + j] + c);
      transform_input<m>(x, 1, columns + j, n);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      V y[n];
      transform_input<m>(columns + i * n, 1, y, 1);
      for (std::int64_t j = 0; j < n; ++j) hn::StoreU(y[j], d, transformed + (i * n + j) * position_stride + c);
    }
  }
}

template <std::int64_t m>
void output_of(const float* products, std::int64_t position_stride, std::int64_t columns, float* const* outputs,
               const Epilogue& epilogue) {
  constexpr std::int64_t n = m + 2;
  for (std::int64_t c = 0; c < columns; c += lanes) {
    V half[m * n];  // A^T M
    for (std::int64_t j = 0; j < n; ++j) {
      V x[n];
      for (std::int64_t i = 0; i < n; ++i) x[i] = hn::LoadU(d, products + (i * n + j) * position_stride + c);
      transform_output<m>(x, 1, half + j, n);
    }
    for (std::int64_t i = 0; i < m; ++i) {
      V y[m];
      transform_output<m>(half + i * n, 1, y, 1);
      for (std::int64_t j = 0; j < m; ++j) {
        const std::int64_t pixel = i * m + j;
        if (outputs[pixel]) store_some(finish(y[j], epilogue, pixel, c), outputs[pixel] + c, columns - c);
      }
    }
  }
}

void winograd_input(std::int64_t m, const float* const* pixels, std::int64_t channels, float* transformed,
                    std::int64_t position_stride) {
  (m == 2 ? input_of<2> : input_of<4>)(pixels, channels, transformed, position_stride);
}

void winograd_output(std::int64_t m, const float* products, std::int64_t position_stride, std::int64_t columns,
                     float* const* outputs, const Epilogue* epilogue) {
  (m == 2 ? output_of<2> : output_of<4>)(products, position_stride, columns, outputs, *epilogue);
}

void moments(const float* x, std::int64_t rows, std::int64_t row_stride, std::int64_t channels, const float* shift,
             double* sums, double* squares) {
  constexpr std::int64_t some_rows = 256;  // summed in single precision before they join the others in double
  for (std::int64_t c = 0; c < channels; c += vectors * lanes) {
    V shifts[vectors];
    for (std::int64_t v = 0; v < vectors; ++v) shifts[v] = hn::LoadU(d, shift + c + v * lanes);
    for (std::int64_t start = 0; start < rows; start += some_rows) {
      V sum[vectors], square[vectors];
      for (std::int64_t v = 0; v < vectors; ++v) sum[v] = square[v] = hn::Zero(d);
      const std::int64_t end = std::min(rows, start + some_rows);
      for (std::int64_t r = start; r < end; ++r) {
        for (std::int64_t v = 0; v < vectors; ++v) {
          const V value = hn::Sub(hn::LoadU(d, x + r * row_stride + c + v * lanes), shifts[v]);
          sum[v] = hn::Add(sum[v], value);
          square[v] = hn::MulAdd(value, value, square[v]);
        }
      }
      for (std::int64_t v = 0; v < vectors; ++v) {
        HWY_ALIGN float sum_part[lanes], square_part[lanes];
        hn::Store(sum[v], d, sum_part);
        hn::Store(square[v], d, square_part);
        for (std::int64_t i = 0; i < lanes && c + v * lanes + i < channels; ++i) {
          sums[c + v * lanes + i] += sum_part[i];
          squares[c + v * lanes + i] += square_part[i];
        }
      }
    }
  }
}

template <bool residual, bool activated>
HWY_INLINE void affine_rows(std::int64_t rows, std::int64_t channels, const float* x, std::int64_t x_stride,
                            const float* multiplier, const float* addend, const float* r, std::int64_t r_stride,
                            float r_scale, float* y, std::int64_t y_stride) {
  const V scale = hn::Set(d, r_scale);
  for (std::int64_t row = 0; row < rows; ++row, x += x_stride, r += r_stride, y += y_stride) {
    for (std::int64_t c = 0; c < channels; c += lanes) {
      V value = hn::MulAdd(hn::LoadU(d, x + c), hn::LoadU(d, multiplier + c), hn::LoadU(d, addend + c));
      if (residual) value = hn::MulAdd(scale, hn::LoadU(d, r + c), value);
      if (activated) value = silu(value);
      store_some(value, y + c, channels - c);
    }
  }
}

void affine(std::int64_t rows, std::int64_t channels, const float* x, std::int64_t x_stride, const float* multiplier,
            const float* addend, const float* residual, std::int64_t residual_stride, float residual_scale,
            Activation activation, float* y, std::int64_t y_stride) {
  const bool activated = activation == Activation::silu;
  (residual ? (activated ? affine_rows<true, true> : affine_rows<true, false>)
            : (activated ? affine_rows<false, true> : affine_rows<false, false>))(
      rows, channels, x, x_stride, multiplier, addend, residual, residual_stride, residual_scale, y, y_stride);
}

void product(std::int64_t rows, std::int64_t channels, const float* a, std::int64_t a_stride, const float* b,
             std::int64_t b_stride, float* y, std::int64_t y_stride) {
  for (std::int64_t row = 0; row < rows; ++row, a += a_stride, b += b_stride, y += y_stride) {
    for (std::int64_t c = 0; c < channels; c += lanes) {
      store_some(hn::Mul(hn::LoadU(d, a + c), hn::LoadU(d, b + c)), y + c, channels - c);
    }
  }
}

void depthwise(const float* const* x, std::int64_t taps, std::int64_t channels, const float* weights, float* y) {
  for (std::int64_t c = 0; c < channels; c += lanes) {
    V sum = hn::Zero(d);
    for (std::int64_t t = 0; t < taps; ++t) {
      if (x[t]) sum = hn::MulAdd(hn::LoadU(d, x[t] + c), hn::LoadU(d, weights + t * channels + c), sum);
    }
    store_some(sum, y + c, channels - c);
  }
}

void softmax(float* x, std::int64_t count, float scale) {
  float largest = x[0];
  for (std::int64_t i = 1; i < count; ++i) largest = std::max(largest, x[i]);
  const V offset = hn::Set(d, largest), factor = hn::Set(d, scale);
  std::int64_t i = 0;
  for (; i < count; i += lanes) {
    const V value = hn::Exp(d, hn::Mul(factor, hn::Sub(hn::LoadU(d, x + i), offset)));
    store_some(value, x + i, count - i);
  }
  // Sixteen sums whatever the vectors' width, so that every instruction set rounds alike.
  float sums[16] = {};
  for (i = 0; i + 16 <= count; i += 16) {
    for (int j = 0; j < 16; ++j) sums[j] += x[i + j];
  }
  for (; i < count; ++i) sums[i % 16] += x[i];
  float sum = 0;
  for (const float part : sums) sum += part;
  const V inverse = hn::Set(d, 1 / sum);
  for (i = 0; i < count; i += lanes) store_some(hn::Mul(hn::LoadU(d, x + i), inverse), x + i, count - i);
}

const char* instruction_set() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace onestep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace onestep::kernels {

HWY_EXPORT(instruction_set);
HWY_EXPORT(panel_width);
HWY_EXPORT(pack);
HWY_EXPORT(multiply);
HWY_EXPORT(winograd_input);
HWY_EXPORT(winograd_output);
HWY_EXPORT(moments);
HWY_EXPORT(affine);
HWY_EXPORT(product);
HWY_EXPORT(depthwise);
HWY_EXPORT(softmax);

const char* instruction_set() { return HWY_DYNAMIC_DISPATCH(instruction_set)(); }

std::int64_t panel_width() { return HWY_DYNAMIC_DISPATCH(panel_width)(); }

std::int64_t packed_size(std::int64_t depth, std::int64_t columns) {
  const std::int64_t width = panel_width();
  return depth * ((columns + width - 1) / width) * width;
}

void pack(const float* weights, std::int64_t depth, std::int64_t columns, std::int64_t depth_stride,
          std::int64_t column_stride, float* packed) {
  HWY_DYNAMIC_DISPATCH(pack)(weights, depth, columns, depth_stride, column_stride, packed);
}

void multiply(std::int64_t rows, std::int64_t taps, std::int64_t depth, const float* const* a, const float* packed,
              std::int64_t columns, std::int64_t first_panel, std::int64_t last_panel, float* const* outputs,
              const Epilogue* epilogue) {
  HWY_DYNAMIC_DISPATCH(multiply)
  (rows, taps, depth, a, packed, columns, first_panel, last_panel, outputs, epilogue);
}

void winograd_filters(std::int64_t m, const float* filters, std::int64_t depth, std::int64_t columns, float* packed) {
  static constexpr double g2[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
  constexpr double a = winograd_a, b = winograd_b, at_a = 1 / (2 * a * a * (a * a - b * b)),
                   at_b = 1 / (2 * b * b * (b * b - a * a));
  static constexpr double g4[6][3] = {{1 / (a * a * b * b), 0, 0},     {at_a, at_a * a, at_a * a * a},
                                      {at_a, -at_a * a, at_a * a * a}, {at_b, at_b * b, at_b * b * b},
                                      {at_b, -at_b * b, at_b * b * b}, {0, 0, 1}};
  const double(*g)[3] = m == 2 ? g2 : g4;
  const std::int64_t n = m + 2, width = panel_width(), one = packed_size(depth, columns);
  // A few columns at once, so that the compiler makes vectors of them; those of one panel.
  constexpr std::int64_t some = 4;
  const std::int64_t step = std::min(some, width);
  for (std::int64_t first = 0; first < columns; first += step) {
    for (std::int64_t k = 0; k < depth; ++k) {
      double filter[9][some] = {}, rows[6][3][some];  // rows: G g
      for (std::int64_t c = 0; c < std::min(step, columns - first); ++c) {
        for (int j = 0; j < 9; ++j) filter[j][c] = filters[((first + c) * depth + k) * 9 + j];
      }
      for (std::int64_t i = 0; i < n; ++i) {
        for (int j = 0; j < 3; ++j) {
          for (std::int64_t c = 0; c < some; ++c) {
            rows[i][j][c] = g[i][0] * filter[j][c] + g[i][1] * filter[3 + j][c] + g[i][2] * filter[6 + j][c];
          }
        }
      }
      float* to = packed + (first / width * depth + k) * width + first % width;
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < n; ++j, to += one) {
          for (std::int64_t c = 0; c < step; ++c) {
            to[c] = static_cast<float>(rows[i][0][c] * g[j][0] + rows[i][1][c] * g[j][1] + rows[i][2][c] * g[j][2]);
          }
        }
      }
    }
  }
}

void winograd_input(std::int64_t m, const float* const* pixels, std::int64_t channels, float* transformed,
                    std::int64_t position_stride) {
  HWY_DYNAMIC_DISPATCH(winograd_input)(m, pixels, channels, transformed, position_stride);
}

void winograd_output(std::int64_t m, const float* products, std::int64_t position_stride, std::int64_t columns,
                     float* const* outputs, const Epilogue& epilogue) {
  HWY_DYNAMIC_DISPATCH(winograd_output)(m, products, position_stride, columns, outputs, &epilogue);
}

void moments(const float* x, std::int64_t rows, std::int64_t row_stride, std::int64_t channels, const float* shift,
             double* sums, double* squares) {
  HWY_DYNAMIC_DISPATCH(moments)(x, rows, row_stride, channels, shift, sums, squares);
}

void affine(std::int64_t rows, std::int64_t channels, const float* x, std::int64_t x_stride, const float* multiplier,
            const float* addend, const float* residual, std::int64_t residual_stride, float residual_scale,
            Activation activation, float* y, std::int64_t y_stride) {
  HWY_DYNAMIC_DISPATCH(affine)
  (rows, channels, x, x_stride, multiplier, addend, residual, residual_stride, residual_scale, activation, y, y_stride);
}

void product(std::int64_t rows, std::int64_t channels, const float* a, std::int64_t a_stride, const float* b,
             std::int64_t b_stride, float* y, std::int64_t y_stride) {
  HWY_DYNAMIC_DISPATCH(product)(rows, channels, a, a_stride, b, b_stride, y, y_stride);
}

void depthwise(const float* const* x, std::int64_t taps, std::int64_t channels, const float* weights, float* y) {
  HWY_DYNAMIC_DISPATCH(depthwise)(x, taps, channels, weights, y);
}

void softmax(float* x, std::int64_t count, float scale) { HWY_DYNAMIC_DISPATCH(softmax)(x, count, scale); }

}  // namespace onestep::kernels
#endif  // HWY_ONCE
