// The instructions that multiply bf16 on x86. Highway has none of them yet, so these two loops are intrinsics.
#include "kernels/bf16.hpp"

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#define ONESTEP_AVX512 __attribute__((target("avx512f,avx512bf16")))
#define ONESTEP_AMX __attribute__((target("avx512f,amx-tile,amx-bf16")))

namespace onestep::kernels::bf16 {
namespace {

constexpr std::int64_t half = panel_width / 2;
constexpr std::int64_t tile_size = half * depth_step;  // numbers of a tile: 16 rows of 64 bytes

struct Leaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

/// CPUID's leaf 7, which has the instruction sets; zeros where there is none.
Leaf leaf7(unsigned part) {
  Leaf leaf;
  if (!__get_cpuid_count(7, 0, &leaf.a, &leaf.b, &leaf.c, &leaf.d) || part > leaf.a) return {};
  if (part > 0) __get_cpuid_count(7, part, &leaf.a, &leaf.b, &leaf.c, &leaf.d);
  return leaf;
}

/// Whether the system saves these registers when it switches between programs (XCR0).
bool system_saves(unsigned registers) {
  Leaf leaf;
  constexpr unsigned osxsave = 1u << 27;
  if (!__get_cpuid(1, &leaf.a, &leaf.b, &leaf.c, &leaf.d) || !(leaf.c & osxsave)) return false;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & registers) == registers;
}

template <int rows>
ONESTEP_AVX512 void sums_of(std::int64_t taps, std::int64_t depth, const Operand& a, std::int64_t row, const Number* b,
                            float* to) {
  __m512 sums[rows][2];
  for (int m = 0; m < rows; ++m) sums[m][0] = sums[m][1] = _mm512_setzero_ps();
  for (std::int64_t t = 0; t < taps; ++t) {
    const Number* in = a.rows + a.offsets[t] + row * a.stride;
    for (std::int64_t k = 0; k < depth; k += depth_step, b += 2 * tile_size) {
      for (std::int64_t i = 0; i < depth_step / 2; ++i) {
        const auto b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + i * depth_step));
        const auto b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + tile_size + i * depth_step));
        for (int m = 0; m < rows; ++m) {
          int pair;
          std::memcpy(&pair, in + m * a.stride + k + 2 * i, sizeof pair);
          const auto both = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
          sums[m][0] = _mm512_dpbf16_ps(sums[m][0], both, b0);
          sums[m][1] = _mm512_dpbf16_ps(sums[m][1], both, b1);
        }
      }
    }
  }
  for (int m = 0; m < rows; ++m) {
    _mm512_storeu_ps(to + m * panel_width, sums[m][0]);
    _mm512_storeu_ps(to + m * panel_width + half, sums[m][1]);
  }
}

constexpr int some_rows = 12;  // with a panel's row and one more in 32 registers

using Sums = void (*)(std::int64_t, std::int64_t, const Operand&, std::int64_t, const Number*, float*);

template <int... rows>
constexpr std::array<Sums, sizeof...(rows)> by_rows(std::integer_sequence<int, rows...>) {
  return {sums_of<rows + 1>...};
}

/// Tiles 0 to 3 hold sums, 4 and 5 two times 16 rows, 6 and 7 two times 16 columns: all have 16 rows of 64 bytes.
struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// Sums of 16 rows, or of 32, and a panel's columns.
template <bool both>
ONESTEP_AMX void tile_of(std::int64_t taps, std::int64_t depth, const Operand& a, std::int64_t row, const Number* b,
                         float* sums) {
  const std::int64_t bytes = a.stride * static_cast<std::int64_t>(sizeof(Number));
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (both) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (std::int64_t t = 0; t < taps; ++t) {
    const Number* in = a.rows + a.offsets[t] + row * a.stride;
    for (std::int64_t k = 0; k < depth; k += depth_step, b += 2 * tile_size) {
      _tile_loadd(4, in + k, bytes);
      _tile_loadd(6, b, 64);
      _tile_loadd(7, b + tile_size, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (both) {
        _tile_loadd(5, in + 16 * a.stride + k, bytes);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    }
  }
  constexpr std::int64_t row_bytes = panel_width * static_cast<std::int64_t>(sizeof(float));
  _tile_stored(0, sums, row_bytes);
  _tile_stored(1, sums + half, row_bytes);
  if constexpr (both) {
    _tile_stored(2, sums + 16 * panel_width, row_bytes);
    _tile_stored(3, sums + 16 * panel_width + half, row_bytes);
  }
}

void multiply_avx512(const Multiplication& product) {
  const auto& [rows, taps, depth, a, packed, columns, first_panel, last_panel, outputs, epilogue] = product;
  static constexpr auto sums = by_rows(std::make_integer_sequence<int, some_rows>());
  alignas(64) float tile[some_rows * panel_width];
  const std::int64_t blocks = (rows + some_rows - 1) / some_rows;
  for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
    const Number* b = packed + panel * taps * depth * panel_width;
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t first = block * rows / blocks, count = (block + 1) * rows / blocks - first;
      sums[static_cast<std::size_t>(count - 1)](taps, depth, a, first, b, tile);
      finish_tile(tile, count, panel * panel_width, columns, outputs + first, epilogue, first);
    }
  }
}

ONESTEP_AMX void multiply_amx(const Multiplication& product) {
  const auto& [rows, taps, depth, a, packed, columns, first_panel, last_panel, outputs, epilogue] = product;
  alignas(64) float tile[tile_rows * panel_width];
  const TileConfiguration configuration;
  _tile_loadconfig(&configuration);
  for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
    const Number* b = packed + panel * taps * depth * panel_width;
    for (std::int64_t row = 0; row < rows; row += tile_rows) {
      const std::int64_t count = std::min(tile_rows, rows - row);
      (count > 16 ? tile_of<true> : tile_of<false>)(taps, depth, a, row, b, tile);
      finish_tile(tile, count, panel * panel_width, columns, outputs + row, epilogue, row);
    }
  }
  _tile_release();
}

}  // namespace

Multiply find_avx512() {
  constexpr unsigned avx512f = 1u << 16, avx512bf16 = 1u << 5, registers = 0xe6;
  const bool has = (leaf7(0).b & avx512f) && (leaf7(1).a & avx512bf16) && system_saves(registers);
  return has ? multiply_avx512 : nullptr;
}

Multiply find_amx() {
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24, registers = 0x60000;
  if ((leaf7(0).d & (bf16 | tile)) != (bf16 | tile) || !system_saves(registers)) return nullptr;
  // Linux gives the tiles' registers only to programs that ask for them (Documentation/arch/x86/xstate.rst).
  constexpr long ask = 0x1023 /* ARCH_REQ_XCOMP_PERM */, tile_data = 18;
  return syscall(SYS_arch_prctl, ask, tile_data) == 0 ? multiply_amx : nullptr;
}

}  // namespace onestep::kernels::bf16

#else

namespace onestep::kernels::bf16 {

Multiply find_avx512() { return nullptr; }
Multiply find_amx() { return nullptr; }

}  // namespace onestep::kernels::bf16

#endif
