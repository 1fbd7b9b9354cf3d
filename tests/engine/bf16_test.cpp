#include "kernels/bf16.hpp"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>

#include "numbers.hpp"

namespace onestep::kernels::bf16 {
namespace {

/// What multiplies: a unit, and for the emulated one an instruction set.
struct Multiplier {
  Unit unit;
  std::int64_t target;
};

void PrintTo(const Multiplier& multiplier, std::ostream* out) {
  *out << name(multiplier.unit) << ", " << hwy::TargetName(multiplier.target);
}

std::vector<Multiplier> multipliers() {
  std::vector<Multiplier> all;
  for (const Unit unit : units()) {
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
      if (unit == Unit::emulated || all.back().unit != unit) all.push_back({unit, target});
    }
  }
  return all;
}

std::string name_of(const testing::TestParamInfo<Multiplier>& info) {
  std::string text = std::string(name(info.param.unit)) + "_" + hwy::TargetName(info.param.target);
  std::erase(text, '-');
  return text;
}

class Bf16 : public testing::TestWithParam<Multiplier> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam().target); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

INSTANTIATE_TEST_SUITE_P(Units, Bf16, testing::ValuesIn(multipliers()), name_of);

TEST_P(Bf16, ConvertsToTheNearestNumberTiesToEven) {
  std::vector<float> x;
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const std::uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  const auto count = static_cast<std::int64_t>(x.size());
  x.resize(x.size() + overread);
  std::vector<Number> y(static_cast<std::size_t>(padded(count)));
  convert(x.data(), count, y.data());
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x[i]), lower = bits & 0xffff;
    const Number down = static_cast<Number>(bits >> 16);
    if (std::isnan(x[i])) {
      ASSERT_TRUE(std::isnan(as_float(y[i]))) << std::hex << bits;
      ASSERT_EQ(y[i] >> 15, down >> 15) << std::hex << bits;
    } else {
      // The bits count up with the size of the number, past the largest to infinity.
      ASSERT_EQ(y[i], down + (lower > 0x8000 || (lower == 0x8000 && down % 2))) << std::hex << bits;
    }
  }
}

TEST_P(Bf16, FillsRowsWithZeros) {
  for (const std::int64_t count : {1, 5, 31, 32, 33}) {
    const std::vector<float> x = random_numbers(count, 1);
    std::vector<Number> y(static_cast<std::size_t>(padded(count) + 1), 7);
    convert(x.data(), count, y.data());
    for (std::int64_t i = count; i < padded(count); ++i) EXPECT_EQ(y[i], 0);
    EXPECT_EQ(y[padded(count)], 7) << "wrote too far";
  }
}

TEST_P(Bf16, MultipliesAsInDoublePrecision) {
  for (const std::int64_t rows : {1, 4, 15, 16, 17, 32, 33, 70}) {
    for (const std::int64_t depth : {1, 31, 64, 65}) {
      for (const std::int64_t columns : {1, 15, 16, 32, 50}) {
        for (const std::int64_t taps : {1, 3}) {
          // Taps that overlap, two rows from each other, as in an image.
          const std::int64_t stride = padded(depth), stored = (rows + tile_rows) / tile_rows * tile_rows + 2 * taps;
          std::vector<Number> x(static_cast<std::size_t>(stored * stride), 0x7fc0);  // NaN where nothing is read
          for (std::int64_t i = 0; i < rows + 2 * taps; ++i) {
            convert(random_numbers(depth, static_cast<unsigned>(i)).data(), depth, x.data() + i * stride);
          }
          std::vector<std::int64_t> offsets;
          for (std::int64_t t = 0; t < taps; ++t) offsets.push_back(2 * t * stride);
          const std::vector<float> w = random_numbers(columns * depth * taps, 77);
          std::vector<Number> packed(static_cast<std::size_t>(packed_size(taps, depth, columns))),
              weights(static_cast<std::size_t>(padded(columns * depth * taps)));
          pack(w.data(), taps, depth, columns, packed.data());
          convert(w.data(), columns * depth * taps, weights.data());
          const std::vector<float> addend = random_numbers(columns, 3), residual = random_numbers(rows * columns, 4);
          const std::int64_t width = columns + 3;
          std::vector<float> y(static_cast<std::size_t>(rows * width), -7);
          std::vector<float*> outputs;
          std::vector<const float*> addends, residuals;
          for (std::int64_t m = 0; m < rows; ++m) {
            outputs.push_back(m == 1 ? nullptr : y.data() + m * width);
            addends.push_back(addend.data());
            residuals.push_back(residual.data() + m * columns);
          }
          multiply(GetParam().unit, {.rows = rows,
                                     .taps = taps,
                                     .depth = depth,
                                     .a = {x.data(), stride, offsets.data()},
                                     .packed = packed.data(),
                                     .columns = columns,
                                     .last_panel = (columns + panel_width - 1) / panel_width,
                                     .outputs = outputs.data(),
                                     .epilogue = {addends.data(), residuals.data(), 0.5f, {Activation::silu}}});
          for (std::int64_t m = 0; m < rows; ++m) {
            for (std::int64_t n = 0; n < width; ++n) {
              double sum = n < columns ? addend[n] + 0.5 * residual[m * columns + n] : 0;
              for (std::int64_t t = 0; t < taps && n < columns; ++t) {
                for (std::int64_t k = 0; k < depth; ++k) {
                  sum += static_cast<double>(as_float(x[offsets[t] + m * stride + k])) *
                         as_float(weights[(n * depth + k) * taps + t]);
                }
              }
              const double expected = m == 1 || n >= columns ? -7 : sum / (1 + std::exp(-sum));
              // float32 rounding of up to 195 exact products of about 1, whose sum is about 14.
              ASSERT_NEAR(y[m * width + n], expected, 5e-5) << rows << "x" << taps << "x" << depth << "x" << columns;
            }
          }
        }
      }
    }
  }
}

// A row is the same whichever rows are computed with it.
TEST_P(Bf16, ARowAloneIsTheSame) {
  const std::int64_t rows = 37, depth = 96, columns = 40, none = 0;
  std::vector<Number> x(static_cast<std::size_t>(2 * tile_rows * depth)),
      packed(static_cast<std::size_t>(packed_size(1, depth, columns)));
  convert(random_numbers(rows * depth, 1).data(), rows * depth, x.data());
  pack(random_numbers(columns * depth, 2).data(), 1, depth, columns, packed.data());
  const auto run = [&](const Number* first, std::int64_t count) {
    std::vector<float> y(static_cast<std::size_t>(count * columns));
    std::vector<float*> outputs;
    for (std::int64_t m = 0; m < count; ++m) outputs.push_back(y.data() + m * columns);
    multiply(GetParam().unit, {.rows = count,
                               .depth = depth,
                               .a = {first, depth, &none},
                               .packed = packed.data(),
                               .columns = columns,
                               .last_panel = 2,
                               .outputs = outputs.data()});
    return y;
  };
  const std::vector<float> all = run(x.data(), rows);
  for (std::int64_t m = 0; m < rows; ++m) {
    std::vector<Number> alone(static_cast<std::size_t>(tile_rows * depth));
    std::copy_n(x.data() + m * depth, depth, alone.data());
    EXPECT_EQ(run(alone.data(), 1), std::vector<float>(all.begin() + m * columns, all.begin() + (m + 1) * columns));
  }
}

}  // namespace
}  // namespace onestep::kernels::bf16
