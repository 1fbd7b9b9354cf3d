#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, which includes this file once for each instruction set.
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/kernels-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace onestep::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t vectors = 2;  // a panel's width
constexpr std::int64_t panel = vectors * lanes;
// Rows computed at once: as many as keep all sums, a panel's row and one more in registers.
constexpr int tile_rows = lanes >= 16 ? 12 : lanes == 8 ? 6 : 4;

/// Of a panel the first `used` vectors: one where there are no columns for the second.
template <int rows, int used>
HWY_NOINLINE void multiply_tile(std::int64_t taps, std::int64_t depth, const float* const* a, std::int64_t tap_stride,
                                const float* HWY_RESTRICT b, float* const* outputs, std::int64_t c,
                                std::int64_t columns, const Epilogue* epilogue, std::int64_t row, bool continued) {
  V sums[rows][used];
  for (int m = 0; m < rows; ++m) {
    for (int v = 0; v < used; ++v) {
      sums[m][v] = continued ? hn::LoadU(d, outputs[m] + c + v * lanes) : hn::Zero(d);
    }
  }
  for (std::int64_t t = 0; t < taps; ++t, a += tap_stride) {
    const float* HWY_RESTRICT in[rows];
    for (int m = 0; m < rows; ++m) in[m] = a[m];
    for (std::int64_t k = 0; k < depth; ++k, b += panel) {
      V weights[used];
      for (int v = 0; v < used; ++v) weights[v] = hn::LoadU(d, b + v * lanes);
      for (int m = 0; m < rows; ++m) {
        const V value = hn::Set(d, in[m][k]);
        for (int v = 0; v < used; ++v) sums[m][v] = hn::MulAdd(value, weights[v], sums[m][v]);
      }
    }
  }
  // Loops of constant length and a few instructions each, which the compiler unrolls: the sums stay in registers.
  if (epilogue && epilogue->addends) {
    for (int m = 0; m < rows; ++m) {
      const float* const addend = epilogue->addends[row + m] + c;
      for (int v = 0; v < used; ++v) sums[m][v] = hn::Add(sums[m][v], hn::LoadU(d, addend + v * lanes));
    }
  }
  if (epilogue && epilogue->residuals) {
    const V scale = hn::Set(d, epilogue->residual_scale);
    for (int m = 0; m < rows; ++m) {
      const float* const residual = epilogue->residuals[row + m] + c;
      for (int v = 0; v < used; ++v) sums[m][v] = hn::MulAdd(scale, hn::LoadU(d, residual + v * lanes), sums[m][v]);
    }
  }
  const Activation activation = epilogue ? epilogue->activation : Activation();
  if (activation.kind == Activation::none && columns - c >= used * lanes) {
    for (int m = 0; m < rows; ++m) {
      for (int v = 0; v < used; ++v) hn::StoreU(sums[m][v], d, outputs[m] + c + v * lanes);
    }
    return;
  }
  HWY_ALIGN float parts[rows][used * lanes];
  for (int m = 0; m < rows; ++m) {
    for (int v = 0; v < used; ++v) hn::Store(sums[m][v], d, parts[m] + v * lanes);
  }
  for (int m = 0; m < rows; ++m) {
    for (std::int64_t i = 0; i < used * lanes && c + i < columns; i += lanes) {
      store_some(activated(activation, hn::Load(d, parts[m] + i)), outputs[m] + c + i, columns - c - i);
    }
  }
}

using Tile = void (*)(std::int64_t, std::int64_t, const float* const*, std::int64_t, const float*, float* const*,
                      std::int64_t, std::int64_t, const Epilogue*, std::int64_t, bool);

template <int used, int... rows>
constexpr std::array<Tile, sizeof...(rows)> tiles(std::integer_sequence<int, rows...>) {
  return {multiply_tile<rows + 1, used>...};
}

void multiply(const Multiplication& product) {
  constexpr auto heights = std::make_integer_sequence<int, tile_rows>();
  static constexpr auto whole = tiles<2>(heights), half = tiles<1>(heights);
  const auto& [rows, taps, depth, a, packed, columns, first_panel, last_panel, outputs, epilogue, continued] = product;
  // As few tiles as can be, of nearly the same height: one of a single row takes as long as one of several.
  const std::int64_t blocks = (rows + tile_rows - 1) / tile_rows;
  for (std::int64_t p = first_panel; p < last_panel; ++p) {
    const float* b = packed + p * taps * depth * panel;
    const auto& tile = columns - p * panel > lanes ? whole : half;
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t first = block * rows / blocks, last = (block + 1) * rows / blocks;
      tile[static_cast<std::size_t>(last - first - 1)](taps, depth, a + first, rows, b, outputs + first, p * panel,
                                                       columns, epilogue, first, continued);
    }
  }
}

std::int64_t panel_width() { return panel; }

// 16 more, so that those of one weight do not fall into the same set of the cache.
constexpr std::int64_t filter_stride = winograd_depth * panel + 16;
std::int64_t winograd_filter_stride() { return filter_stride; }

void pack(const float* weights, std::int64_t depth, std::int64_t columns, std::int64_t depth_stride,
          std::int64_t column_stride, float* packed) {
  // A few weights of each column at a time: reads and writes then stay in the cache.
  constexpr std::int64_t some = 16;
  for (std::int64_t first = 0; first < columns; first += panel, packed += depth * panel) {
    for (std::int64_t start = 0; start < depth; start += some) {
      const std::int64_t end = std::min(depth, start + some);
      for (std::int64_t i = 0; i < panel; ++i) {
        const std::int64_t n = first + i;
        for (std::int64_t k = start; k < end; ++k) {
          packed[k * panel + i] = n < columns ? weights[k * depth_stride + n * column_stride] : 0.0f;
        }
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
constexpr float a1 = 0.75f, a2 = a1 * a1, a3 = a2 * a1, b1 = 1.5f, b2 = b1 * b1, b3 = b2 * b1;
template <std::int64_t m>
constexpr std::array<float, 2> points = {m == 2 ? 1 : a1, b1};

// G without the factors of its rows, which A^T has in their place: there are fewer outputs than filters.
HWY_INLINE void at_points(V x0, V x1, V x2, float point, V& plus, V& minus) {
  const V even = hn::MulAdd(hn::Set(d, point * point), x2, x0), p = hn::Set(d, point);
  plus = hn::MulAdd(p, x1, even);
  minus = hn::NegMulAdd(p, x1, even);
}

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

// A^T, with the factors of G's rows.
HWY_INLINE void transform_output2(const V* x, std::int64_t stride, V* y, std::int64_t y_stride) {
  const V x1 = x[stride], x2 = x[2 * stride], half = hn::Set(d, 0.5f);
  y[0] = hn::MulAdd(half, hn::Add(x1, x2), x[0]);
  y[y_stride] = hn::MulSub(half, hn::Sub(x1, x2), x[3 * stride]);
}

HWY_INLINE void transform_output4(const V* x, std::int64_t stride, V* y, std::int64_t y_stride) {
  const V x1 = x[stride], x2 = x[2 * stride], x3 = x[3 * stride], x4 = x[4 * stride];
  const V sum = hn::Add(x1, x2), difference = hn::Sub(x1, x2), sum2 = hn::Add(x3, x4), difference2 = hn::Sub(x3, x4);
  constexpr float at_0 = 1 / (a2 * b2), at_a = 1 / (2 * a2 * (a2 - b2)), at_b = 1 / (2 * b2 * (b2 - a2));
  const auto both = [](float a, V of_a, float b, V of_b) {
    return hn::MulAdd(hn::Set(d, b), of_b, hn::Mul(hn::Set(d, a), of_a));
  };
  y[0] = hn::MulAdd(hn::Set(d, at_0), x[0], both(at_a, sum, at_b, sum2));
  y[y_stride] = both(at_a * a1, difference, at_b * b1, difference2);
  y[2 * y_stride] = both(at_a * a2, sum, at_b * b2, sum2);
  y[3 * y_stride] = hn::Add(both(at_a * a3, difference, at_b * b3, difference2), x[5 * stride]);
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

// One row of G: the polynomial of coefficients x at 0, at the pairs of points and at infinity.
template <std::int64_t m>
HWY_INLINE void transform_filter(V x0, V x1, V x2, float* HWY_RESTRICT y) {
  hn::StoreU(x0, d, y);
  for (std::int64_t q = 0; q < m / 2; ++q) {
    V plus, minus;
    at_points(x0, x1, x2, points<m>[q], plus, minus);
    hn::StoreU(plus, d, y + (2 * q + 1) * filter_stride);
    hn::StoreU(minus, d, y + (2 * q + 2) * filter_stride);
  }
  hn::StoreU(x2, d, y + (m + 1) * filter_stride);
}

template <std::int64_t m>
void filters_of(const float* HWY_RESTRICT packed, std::int64_t depth, float* HWY_RESTRICT transformed) {
  constexpr std::int64_t row = (m + 2) * filter_stride;
  for (std::int64_t k = 0; k < depth; ++k, packed += 9 * panel, transformed += panel) {
    for (std::int64_t v = 0; v < panel; v += lanes) {
      V g[3][3];
      for (std::int64_t i = 0; i < 9; ++i) g[i / 3][i % 3] = hn::LoadU(d, packed + i * panel + v);
      float* const to = transformed + v;
      transform_filter<m>(g[0][0], g[0][1], g[0][2], to);
      for (std::int64_t q = 0; q < m / 2; ++q) {
        V plus[3], minus[3];
        for (int j = 0; j < 3; ++j) at_points(g[0][j], g[1][j], g[2][j], points<m>[q], plus[j], minus[j]);
        transform_filter<m>(plus[0], plus[1], plus[2], to + (2 * q + 1) * row);
        transform_filter<m>(minus[0], minus[1], minus[2], to + (2 * q + 2) * row);
      }
      transform_filter<m>(g[2][0], g[2][1], g[2][2], to + (m + 1) * row);
    }
  }
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

void winograd_filters(std::int64_t m, const float* packed, std::int64_t depth, float* transformed) {
  (m == 2 ? filters_of<2> : filters_of<4>)(packed, depth, transformed);
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

template <bool residual, typename Activate>
HWY_INLINE void affine_rows(Activate activate, const Affine& map) {
  const V scale = hn::Set(d, map.residual_scale);
  const float *x = map.x.rows, *r = map.residual.rows;
  float* y = map.y.rows;
  const std::int64_t r_stride = residual ? map.residual.stride : 0;
  for (std::int64_t row = 0; row < map.rows; ++row, x += map.x.stride, r += r_stride, y += map.y.stride) {
    for (std::int64_t c = 0; c < map.channels; c += lanes) {
      V value = hn::MulAdd(hn::LoadU(d, x + c), hn::LoadU(d, map.multiplier + c), hn::LoadU(d, map.addend + c));
      if (residual) value = hn::MulAdd(scale, hn::LoadU(d, r + c), value);
      store_some(activate(value), y + c, map.channels - c);
    }
  }
}

void affine(const Affine& map) {
  with(map.activation, [&](auto activate) {
    (map.residual.rows ? affine_rows<true, decltype(activate)> : affine_rows<false, decltype(activate)>)(activate, map);
  });
}

/// The sum of the values at 0 <= i < count, which at(i) gives `lanes` at a time: sixteen sums whatever the vectors'
/// width, so that every instruction set rounds alike.
template <typename At>
HWY_INLINE float sum_of(std::int64_t count, At at) {
  constexpr std::int64_t parts = 16;
  V partial[parts / lanes];
  for (V& sum : partial) sum = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + parts <= count; i += parts) {
    for (std::int64_t p = 0; p < parts / lanes; ++p) partial[p] = hn::Add(partial[p], at(i + p * lanes));
  }
  HWY_ALIGN float sums[parts], rest[lanes];
  for (std::int64_t p = 0; p < parts / lanes; ++p) hn::Store(partial[p], d, sums + p * lanes);
  for (std::int64_t p = 0; i + p < count; ++p) {
    if (p % lanes == 0) hn::Store(at(i + p), d, rest);
    sums[p] += rest[p % lanes];
  }
  float sum = 0;
  for (const float part : sums) sum += part;
  return sum;
}

double floored(double variance, double epsilon, Floor floor) {
  switch (floor) {
    case Floor::variance:
      break;
    case Floor::sum:
      return std::sqrt(variance) + epsilon;
    case Floor::least:
      return variance < epsilon * epsilon ? epsilon : std::sqrt(variance);  // a NaN stays one
  }
  return std::sqrt(variance + epsilon);
}

template <typename Activate>
HWY_INLINE void normalize_row(Activate activate, const RowNormalization& normalization, const float* x, float* y) {
  const std::int64_t channels = normalization.channels;
  const bool centered = normalization.centered;
  const auto count = static_cast<float>(channels);
  // Relative to the first value, so that a mean far from zero does not drown the variance.
  const V shift = hn::Set(d, centered ? x[0] : 0.0f);
  const auto shifted = [&](std::int64_t c) { return hn::Sub(hn::LoadU(d, x + c), shift); };
  const V mean = hn::Set(d, centered ? sum_of(channels, shifted) / count : 0.0f);
  const auto from_mean = [&](std::int64_t c) { return hn::Sub(shifted(c), mean); };
  const float squares = sum_of(channels, [&](std::int64_t c) { return hn::Mul(from_mean(c), from_mean(c)); });
  const V inverse =
      hn::Set(d, static_cast<float>(1 / floored(squares / count, normalization.epsilon, normalization.floor)));
  for (std::int64_t c = 0; c < channels; c += lanes) {
    const V factor = hn::Mul(inverse, hn::LoadU(d, normalization.multiplier + c));
    const V value = hn::MulAdd(from_mean(c), factor, hn::LoadU(d, normalization.addend + c));
    store_some(activate(value), y + c, channels - c);
  }
}

void normalize_rows(const RowNormalization& normalization) {
  with(normalization.activation, [&](auto activate) {
    const auto& [x, y] = std::pair(normalization.x, normalization.y);
    for (std::int64_t row = 0; row < normalization.rows; ++row)
      normalize_row(activate, normalization, x.rows + row * x.stride, y.rows + row * y.stride);
  });
}

void multiply_elements(std::int64_t rows, std::int64_t channels, Input a, Input b, Output y) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t c = 0; c < channels; c += lanes) {
      const V product = hn::Mul(hn::LoadU(d, a.rows + c), hn::LoadU(d, b.rows + c));
      store_some(product, y.rows + c, channels - c);
    }
    a.rows += a.stride;
    b.rows += b.stride;
    y.rows += y.stride;
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

void weighted_sum(const float* const* x, std::int64_t taps, std::int64_t channels, const float* weights, float* y) {
  for (std::int64_t c = 0; c < channels; c += lanes) {
    V sum = hn::Zero(d);
    for (std::int64_t t = 0; t < taps; ++t) {
      if (x[t]) sum = hn::MulAdd(hn::LoadU(d, x[t] + c), hn::Set(d, weights[t]), sum);
    }
    store_some(sum, y + c, channels - c);
  }
}

void largest(const float* const* x, std::int64_t taps, std::int64_t channels, float* y) {
  for (std::int64_t c = 0; c < channels; c += lanes) {
    V most = hn::Set(d, -std::numeric_limits<float>::infinity());
    for (std::int64_t t = 0; t < taps; ++t) {
      if (!x[t]) continue;
      const V value = hn::LoadU(d, x[t] + c);
      most = hn::IfThenElse(hn::Or(hn::Gt(value, most), hn::IsNaN(value)), value, most);
    }
    store_some(most, y + c, channels - c);
  }
}

void softmax(float* x, std::int64_t count, float scale) {
  float largest = x[0];
  for (std::int64_t i = 1; i < count; ++i) largest = std::max(largest, x[i]);
  const V offset = hn::Set(d, largest), factor = hn::Set(d, scale);
  for (std::int64_t i = 0; i < count; i += lanes) {
    const V value = exp_of_difference(hn::Mul(factor, hn::Sub(hn::LoadU(d, x + i), offset)));
    store_some(value, x + i, count - i);
  }
  const V inverse = hn::Set(d, 1 / sum_of(count, [&](std::int64_t at) { return hn::LoadU(d, x + at); }));
  for (std::int64_t i = 0; i < count; i += lanes) store_some(hn::Mul(hn::LoadU(d, x + i), inverse), x + i, count - i);
}

void softmax_over_rows(std::int64_t rows, std::int64_t channels, Input x, Output y) {
  for (std::int64_t c = 0; c < channels; c += lanes) {
    const std::int64_t some = channels - c;
    V largest = hn::LoadU(d, x.rows + c);
    for (std::int64_t row = 1; row < rows; ++row) largest = hn::Max(largest, hn::LoadU(d, x.rows + row * x.stride + c));
    // Sums of some rows first: a sum of thousands would lose what is added to it.
    constexpr std::int64_t block = 64;
    V sum = hn::Zero(d);
    for (std::int64_t first = 0; first < rows; first += block) {
      V part = hn::Zero(d);
      for (std::int64_t row = first; row < std::min(first + block, rows); ++row) {
        const V value = exp_of_difference(hn::Sub(hn::LoadU(d, x.rows + row * x.stride + c), largest));
        part = hn::Add(part, value);
        store_some(value, y.rows + row * y.stride + c, some);
      }
      sum = hn::Add(sum, part);
    }
    const V inverse = hn::Div(hn::Set(d, 1.0f), sum);
    for (std::int64_t row = 0; row < rows; ++row) {
      float* to = y.rows + row * y.stride + c;
      store_some(hn::Mul(hn::LoadU(d, to), inverse), to, some);
    }
  }
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
HWY_EXPORT(winograd_filter_stride);
HWY_EXPORT(winograd_filters);
HWY_EXPORT(winograd_input);
HWY_EXPORT(winograd_output);
HWY_EXPORT(moments);
HWY_EXPORT(affine);
HWY_EXPORT(normalize_rows);
HWY_EXPORT(multiply_elements);
HWY_EXPORT(depthwise);
HWY_EXPORT(weighted_sum);
HWY_EXPORT(largest);
HWY_EXPORT(softmax);
HWY_EXPORT(softmax_over_rows);

std::string with_activation(Activation activation) {
  switch (activation.kind) {
    case Activation::none:
      break;
    case Activation::silu:
      return " + SiLU";
    case Activation::gelu:
      return " + GELU";
    case Activation::gelu_tanh:
      return " + GELU (tanh)";
    case Activation::mish:
      return " + Mish";
    case Activation::sigmoid:
      return " + sigmoid";
    case Activation::tanh:
      return " + tanh";
    case Activation::leaky_relu:
      return " + leaky ReLU";
    case Activation::clamp: {
      constexpr float infinity = std::numeric_limits<float>::infinity();
      return activation.low == 0 && activation.high == infinity ? " + ReLU" : " + clamp";
    }
  }
  return "";
}

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

void multiply(const Multiplication& product) { HWY_DYNAMIC_DISPATCH(multiply)(product); }

void winograd_filters(std::int64_t m, const float* packed, std::int64_t depth, float* transformed) {
  HWY_DYNAMIC_DISPATCH(winograd_filters)(m, packed, depth, transformed);
}

std::int64_t winograd_filter_stride() { return HWY_DYNAMIC_DISPATCH(winograd_filter_stride)(); }

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

void affine(const Affine& map) { HWY_DYNAMIC_DISPATCH(affine)(map); }

void normalize_rows(const RowNormalization& normalization) { HWY_DYNAMIC_DISPATCH(normalize_rows)(normalization); }

void multiply_elements(std::int64_t rows, std::int64_t channels, Input a, Input b, Output y) {
  HWY_DYNAMIC_DISPATCH(multiply_elements)(rows, channels, a, b, y);
}

void depthwise(const float* const* x, std::int64_t taps, std::int64_t channels, const float* weights, float* y) {
  HWY_DYNAMIC_DISPATCH(depthwise)(x, taps, channels, weights, y);
}

void weighted_sum(const float* const* x, std::int64_t taps, std::int64_t channels, const float* weights, float* y) {
  HWY_DYNAMIC_DISPATCH(weighted_sum)(x, taps, channels, weights, y);
}

void largest(const float* const* x, std::int64_t taps, std::int64_t channels, float* y) {
  HWY_DYNAMIC_DISPATCH(largest)(x, taps, channels, y);
}

void softmax(float* x, std::int64_t count, float scale) { HWY_DYNAMIC_DISPATCH(softmax)(x, count, scale); }

void softmax_over_rows(std::int64_t rows, std::int64_t channels, Input x, Output y) {
  HWY_DYNAMIC_DISPATCH(softmax_over_rows)(rows, channels, x, y);
}

}  // namespace onestep::kernels
#endif  // HWY_ONCE
