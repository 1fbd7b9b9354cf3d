#include "kernels/bf16.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/bf16.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, which includes this file once for each instruction set.
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/kernels-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace onestep::kernels::bf16 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using namespace onestep::kernels::HWY_NAMESPACE;

constexpr hn::RebindToUnsigned<D> du;
constexpr hn::Rebind<Number, D> dh;
using U = hn::Vec<decltype(du)>;

/// The upper halves, rounded to nearest, ties to even.
HWY_INLINE U rounded(V x) {
  const U bits = hn::BitCast(du, x);
  const U odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const U up = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff))));
  // Rounding up would carry a NaN's bits into its sign.
  const U nan = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du, 0x40));
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(x)), nan, up);
}

void convert(const float* x, std::int64_t count, Number* y) {
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::TruncateTo(dh, rounded(hn::LoadU(d, x + i))), dh, y + i);
  if (i < count) {
    HWY_ALIGN Number part[lanes];
    hn::Store(hn::TruncateTo(dh, rounded(hn::LoadU(d, x + i))), dh, part);
    for (std::int64_t j = 0; i < count; ++i, ++j) y[i] = part[j];
  }
  std::fill(y + count, y + padded(count), Number{0});
}

/// Two numbers next to each other.
HWY_INLINE std::uint32_t pair_at(const Number* from) {
  std::uint32_t pair;
  std::memcpy(&pair, from, sizeof pair);
  return pair;
}

HWY_INLINE V lower_of(U pairs) { return hn::BitCast(d, hn::ShiftLeft<16>(pairs)); }
HWY_INLINE V upper_of(U pairs) { return hn::BitCast(d, hn::And(pairs, hn::Set(du, 0xffff0000u))); }

// Two vectors of columns and up to four rows: their sums and one weight's halves stay in 16 registers.
constexpr int some_rows = 4;

/// Sums of `rows` rows and 2 * lanes columns of a panel, of which `b` holds the first.
template <int rows>
void sums_of(std::int64_t taps, std::int64_t depth, const Operand& a, std::int64_t row, const Number* b, float* to) {
  constexpr std::int64_t half = panel_width / 2, row_size = 2 * half;  // numbers
  // The columns' vectors: side by side, in the second half of a panel where the first is no longer than one.
  constexpr std::int64_t second = lanes >= half ? depth_step * half : 2 * lanes;
  V sums[rows][2];
  for (int m = 0; m < rows; ++m) sums[m][0] = sums[m][1] = hn::Zero(d);
  for (std::int64_t t = 0; t < taps; ++t) {
    const Number* in = a.rows + a.offsets[t] + row * a.stride;
    for (std::int64_t k = 0; k < depth; k += depth_step, b += depth_step * panel_width) {
      for (std::int64_t i = 0; i < depth_step / 2; ++i) {
        const auto* pairs = reinterpret_cast<const std::uint32_t*>(b + i * row_size);
        const U b0 = hn::LoadU(du, pairs), b1 = hn::LoadU(du, pairs + second / 2);
        const V lower0 = lower_of(b0), upper0 = upper_of(b0), lower1 = lower_of(b1), upper1 = upper_of(b1);
        for (int m = 0; m < rows; ++m) {
          const U pair = hn::Set(du, pair_at(in + m * a.stride + k + 2 * i));
          const V lower = lower_of(pair), upper = upper_of(pair);
          sums[m][0] = hn::MulAdd(upper, upper0, hn::MulAdd(lower, lower0, sums[m][0]));
          sums[m][1] = hn::MulAdd(upper, upper1, hn::MulAdd(lower, lower1, sums[m][1]));
        }
      }
    }
  }
  for (int m = 0; m < rows; ++m) {
    hn::StoreU(sums[m][0], d, to + m * panel_width);
    hn::StoreU(sums[m][1], d, to + m * panel_width + lanes);
  }
}

void multiply(const Multiplication& product) {
  const auto& [rows, taps, depth, a, packed, columns, first_panel, last_panel, outputs, epilogue] = product;
  using Sums = void (*)(std::int64_t, std::int64_t, const Operand&, std::int64_t, const Number*, float*);
  static constexpr std::array<Sums, some_rows> by_rows{sums_of<1>, sums_of<2>, sums_of<3>, sums_of<4>};
  constexpr std::int64_t half = panel_width / 2;
  HWY_ALIGN float sums[some_rows * panel_width];
  for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
    const Number* b = packed + panel * taps * depth * panel_width;
    for (std::int64_t row = 0; row < rows; row += some_rows) {
      const std::int64_t count = std::min<std::int64_t>(some_rows, rows - row);
      for (std::int64_t c = 0; c < panel_width; c += 2 * lanes) {
        const Number* first = b + c / half * depth_step * half + c % half * 2;
        by_rows[static_cast<std::size_t>(count - 1)](taps, depth, a, row, first, sums + c);
      }
      finish_tile(sums, count, panel * panel_width, columns, outputs + row, epilogue, row);
    }
  }
}

void finish(const float* sums, std::int64_t rows, std::int64_t column, std::int64_t columns, float* const* outputs,
            const Epilogue& epilogue, std::int64_t first_row) {
  const std::int64_t last = std::min(columns, column + panel_width);
  for (std::int64_t m = 0; m < rows; ++m) {
    if (!outputs[m]) continue;
    for (std::int64_t c = column; c < last; c += lanes) {
      const V sum = hn::LoadU(d, sums + m * panel_width + c - column);
      store_some(kernels::HWY_NAMESPACE::finish(sum, epilogue, first_row + m, c), outputs[m] + c, last - c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace onestep::kernels::bf16
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace onestep::kernels::bf16 {

HWY_EXPORT(convert);
HWY_EXPORT(multiply);
HWY_EXPORT(finish);

const std::vector<Unit>& units() {
  static const std::vector<Unit> found = [] {
    std::vector<Unit> all{Unit::emulated};
    if (find_avx512()) all.push_back(Unit::avx512);
    if (find_amx()) all.push_back(Unit::amx);
    return all;
  }();
  return found;
}

const char* name(Unit unit) {
  switch (unit) {
    case Unit::emulated:
      return "emulated";
    case Unit::avx512:
      return "AVX512-BF16";
    case Unit::amx:
      return "AMX";
  }
  return "";
}

void convert(const float* x, std::int64_t count, Number* y) { HWY_DYNAMIC_DISPATCH(convert)(x, count, y); }

std::int64_t packed_size(std::int64_t taps, std::int64_t depth, std::int64_t columns) {
  return taps * padded(depth) * ((columns + panel_width - 1) / panel_width) * panel_width;
}

// A panel is, tap after tap, [depth / 32][2 halves of columns][16 pairs of depth][16 columns][2]: AMX's layout, of
// which one tile is a half.
void pack(const float* weights, std::int64_t taps, std::int64_t depth, std::int64_t columns, Number* packed) {
  constexpr std::int64_t half = panel_width / 2;
  std::vector<float> ordered(static_cast<std::size_t>(packed_size(taps, depth, columns)));
  for (std::int64_t n = 0; n < columns; ++n) {
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t t = 0; t < taps; ++t, ++weights) {
        const std::int64_t chunk = (n / panel_width * taps + t) * padded(depth) + k / depth_step * depth_step;
        const std::int64_t row = n % panel_width / half * depth_step / 2 + k % depth_step / 2;
        ordered[chunk * panel_width + row * panel_width + n % half * 2 + k % 2] = *weights;
      }
    }
  }
  const auto size = static_cast<std::int64_t>(ordered.size());
  ordered.resize(ordered.size() + overread);
  convert(ordered.data(), size, packed);
}

void multiply(Unit unit, const Multiplication& product) {
  static const Multiply avx512 = find_avx512(), amx = find_amx();
  const Multiply by_unit = unit == Unit::amx ? amx : unit == Unit::avx512 ? avx512 : HWY_DYNAMIC_DISPATCH(multiply);
  Multiplication padded_product = product;
  padded_product.depth = padded(product.depth);
  by_unit(padded_product);
}

void finish_tile(const float* sums, std::int64_t rows, std::int64_t column, std::int64_t columns, float* const* outputs,
                 const Epilogue& epilogue, std::int64_t first_row) {
  HWY_DYNAMIC_DISPATCH(finish)(sums, rows, column, columns, outputs, epilogue, first_row);
}

}  // namespace onestep::kernels::bf16
#endif  // HWY_ONCE
