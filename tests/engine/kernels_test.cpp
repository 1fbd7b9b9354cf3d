#include "kernels/kernels.hpp"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <array>
#include <cmath>

#include "numbers.hpp"

namespace onestep::kernels {
namespace {

using Numbers = std::vector<float>;

template <typename T>
std::vector<T*> rows_of(T* first, std::int64_t rows, std::int64_t stride) {
  std::vector<T*> pointers;
  for (std::int64_t i = 0; i < rows; ++i) pointers.push_back(first + i * stride);
  return pointers;
}

double silu(double x) { return x / (1 + std::exp(-x)); }

double activated(const Activation& activation, double x) {
  switch (activation.kind) {
    case Activation::none:
      return x;
    case Activation::silu:
      return silu(x);
    case Activation::gelu:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::mish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case Activation::leaky_relu:
      return x < 0 ? activation.slope * x : x;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::clamp:
      return std::clamp(x, static_cast<double>(activation.low), static_cast<double>(activation.high));
  }
  return std::nan("");
}

constexpr Activation leaky_relu = [] {
  Activation leaky{Activation::leaky_relu};
  leaky.slope = 0.2f;
  return leaky;
}();
constexpr std::array all_activations{Activation{Activation::none},     Activation{Activation::silu},
                                     Activation{Activation::gelu},     Activation{Activation::gelu_tanh},
                                     Activation{Activation::mish},     leaky_relu,
                                     Activation{Activation::sigmoid},  Activation{Activation::tanh},
                                     Activation{Activation::clamp, 0}, Activation{Activation::clamp, -1, 0.5f}};

/// Every test runs for each instruction set that was compiled and that this CPU has.
class Kernels : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

INSTANTIATE_TEST_SUITE_P(InstructionSets, Kernels, testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& info) { return std::string(hwy::TargetName(info.param)); });

TEST_P(Kernels, AreThoseOfTheInstructionSet) { EXPECT_STREQ(instruction_set(), hwy::TargetName(GetParam())); }

TEST_P(Kernels, MultiplyAsInDoublePrecision) {
  for (const std::int64_t rows : {1, 2, 5, 6, 7, 12, 13, 31}) {
    for (const std::int64_t depth : {1, 3, 17, 64}) {
      for (const std::int64_t columns : {1, 7, 8, 16, 17, 33, 65}) {
        for (const std::int64_t taps : {1, 3}) {
          const std::int64_t all = taps * depth, stride = columns + 3;
          const Numbers x = random_numbers(taps * rows * depth, 1), w = random_numbers(all * columns, 2);
          const Numbers addend = random_numbers(columns, 3), residual = random_numbers(rows * columns, 4);
          Numbers packed(static_cast<std::size_t>(packed_size(all, columns)));
          pack(w.data(), all, columns, columns, 1, packed.data());
          Numbers y(static_cast<std::size_t>(rows * stride), -7);
          const auto a = rows_of(x.data(), taps * rows, depth);
          const auto outputs = rows_of(y.data(), rows, stride);
          const std::vector<const float*> addends(static_cast<std::size_t>(rows), addend.data());
          const auto residuals = rows_of(residual.data(), rows, columns);
          const Epilogue epilogue{addends.data(), residuals.data(), 0.5f, {Activation::silu}};
          multiply({.rows = rows,
                    .taps = taps,
                    .depth = depth,
                    .a = a.data(),
                    .packed = packed.data(),
                    .columns = columns,
                    .last_panel = panels(columns),
                    .outputs = outputs.data(),
                    .epilogue = &epilogue});
          for (std::int64_t m = 0; m < rows; ++m) {
            for (std::int64_t n = 0; n < columns; ++n) {
              double sum = 0;
              for (std::int64_t t = 0; t < taps; ++t) {
                for (std::int64_t k = 0; k < depth; ++k) {
                  sum += static_cast<double>(x[(t * rows + m) * depth + k]) * w[(t * depth + k) * columns + n];
                }
              }
              const double expected = silu(sum + addend[n] + 0.5 * residual[m * columns + n]);
              // float32 rounding of up to 192 products of about 1, whose sum is about 14.
              EXPECT_NEAR(y[m * stride + n], expected, 5e-5) << rows << "x" << all << "x" << columns;
            }
            for (std::int64_t n = columns; n < stride; ++n)
              EXPECT_EQ(y[m * stride + n], -7) << "wrote past the columns";
          }
        }
      }
    }
  }
}

// A sum is the same whichever rows and columns are computed with it.
TEST_P(Kernels, MultiplyARowAloneAsAmongOthers) {
  const std::int64_t rows = 29, depth = 37, columns = 40;
  const Numbers x = random_numbers(rows * depth, 1), w = random_numbers(depth * columns, 2);
  Numbers packed(static_cast<std::size_t>(packed_size(depth, columns)));
  pack(w.data(), depth, columns, columns, 1, packed.data());
  const std::int64_t last_panel = panels(columns);
  Numbers together(static_cast<std::size_t>(rows * columns)), alone(static_cast<std::size_t>(columns));
  const auto a = rows_of(x.data(), rows, depth);
  const auto to_together = rows_of(together.data(), rows, columns);
  multiply({.rows = rows,
            .depth = depth,
            .a = a.data(),
            .packed = packed.data(),
            .columns = columns,
            .last_panel = last_panel,
            .outputs = to_together.data()});
  for (std::int64_t m = 0; m < rows; ++m) {
    float* const output = alone.data();
    for (std::int64_t p = 0; p < last_panel; ++p) {
      multiply({.rows = 1,
                .depth = depth,
                .a = a.data() + m,
                .packed = packed.data(),
                .columns = columns,
                .first_panel = p,
                .last_panel = p + 1,
                .outputs = &output});
    }
    for (std::int64_t n = 0; n < columns; ++n) EXPECT_EQ(alone[n], together[m * columns + n]);
  }
}

// One tile of every size of Winograd's algorithm against the convolution that it is.
TEST_P(Kernels, WinogradIsTheConvolution) {
  for (const std::int64_t m : {2, 4}) {
    for (const std::int64_t depth : {1, 3, 8, 19, 32}) {
      for (const std::int64_t columns : {1, 5, 16, 21}) {
        const std::int64_t n = m + 2, positions = n * n;
        const Numbers x = random_numbers(positions * depth, 1), filters = random_numbers(columns * depth * 9, 2);
        Numbers transformed(static_cast<std::size_t>(positions * (depth + overread)));
        winograd_input(m, rows_of(x.data(), positions, depth).data(), depth, transformed.data(), depth + overread);

        Numbers packed(static_cast<std::size_t>(packed_size(9 * depth, columns)));
        pack(filters.data(), 9 * depth, columns, 1, 9 * depth, packed.data());
        Numbers panel(static_cast<std::size_t>(positions * winograd_filter_stride()));
        Numbers products(static_cast<std::size_t>(positions * (columns + overread)));
        const std::int64_t width = panel_width();
        for (std::int64_t first = 0; first < columns; first += width) {
          // In two parts, as the depth of a deep convolution is.
          for (const auto& [from, to] : {std::pair{std::int64_t{0}, depth / 2}, {depth / 2, depth}}) {
            winograd_filters(m, packed.data() + 9 * (first * depth + from * width), to - from, panel.data());
            for (std::int64_t p = 0; p < positions; ++p) {
              const float* const row = transformed.data() + p * (depth + overread) + from;
              float* const product = products.data() + p * (columns + overread) + first;
              multiply({.rows = 1,
                        .depth = to - from,
                        .a = &row,
                        .packed = panel.data() + p * winograd_filter_stride(),
                        .columns = width,
                        .last_panel = 1,
                        .outputs = &product,
                        .continued = from > 0});
            }
          }
        }
        Numbers y(static_cast<std::size_t>(m * m * columns), -7);
        auto outputs = rows_of(y.data(), m * m, columns);
        outputs[1] = nullptr;  // outside the picture
        winograd_output(m, products.data(), columns + overread, columns, outputs.data(), {});
        for (std::int64_t i = 0; i < m; ++i) {
          for (std::int64_t j = 0; j < m; ++j) {
            for (std::int64_t c = 0; c < columns; ++c) {
              double expected = 0;
              for (int u = 0; u < 3; ++u) {
                for (int v = 0; v < 3; ++v) {
                  for (std::int64_t k = 0; k < depth; ++k) {
                    expected += static_cast<double>(x[((i + u) * n + j + v) * depth + k]) *
                                filters[(c * depth + k) * 9 + u * 3 + v];
                  }
                }
              }
              if (i * m + j == 1) expected = -7;
              // Sums of up to 288 products of about 1, which F(4, 3) makes of numbers some ten times as large.
              EXPECT_NEAR(y[(i * m + j) * columns + c], expected, m == 2 ? 2e-5 : 1e-4)
                  << m << " " << depth << " " << columns;
            }
          }
        }
      }
    }
  }
}

// A mean far from zero must not drown the variance: x is 1000 +- 1.
TEST_P(Kernels, MomentsAreThoseOfDoublePrecision) {
  for (const std::int64_t rows : {1, 2, 255, 256, 257, 1000}) {
    for (const std::int64_t channels : {1, 3, 8, 20, 33}) {
      const std::int64_t stride = channels + 5;
      const Numbers x = random_numbers(rows * stride, 1, 1000);
      std::vector<double> sums(static_cast<std::size_t>(channels)), squares(sums);
      moments(x.data(), rows, stride, channels, x.data(), sums.data(), squares.data());
      for (std::int64_t c = 0; c < channels; ++c) {
        double sum = 0, square = 0;
        for (std::int64_t r = 0; r < rows; ++r) {
          const double value = static_cast<double>(x[r * stride + c]) - x[c];
          sum += value;
          square += value * value;
        }
        // float32 sums of 256 numbers of about 1, then double.
        EXPECT_NEAR(sums[c], sum, 1e-6 * static_cast<double>(rows) + 1e-6);
        EXPECT_NEAR(squares[c], square, 1e-6 * square + 1e-6);
      }
    }
  }
}

/// y = activation(x), by way of an affine map that changes nothing.
void activate(const Activation& activation, const Numbers& x, const Numbers& one, const Numbers& zero,
              std::int64_t count, Numbers& y) {
  affine({.rows = 1,
          .channels = count,
          .x = {x.data(), count},
          .multiplier = one.data(),
          .addend = zero.data(),
          .activation = activation,
          .y = {y.data(), count}});
}

TEST_P(Kernels, AffineScalesAddsAndActivates) {
  for (const std::int64_t channels : {1, 7, 8, 9, 31}) {
    const std::int64_t rows = 3, stride = channels + 2;
    const Numbers x = random_numbers(rows * channels, 1), r = random_numbers(rows * channels, 2);
    const Numbers m = random_numbers(channels, 3), a = random_numbers(channels, 4);
    for (const bool residual : {false, true}) {
      for (const Activation& activation : all_activations) {
        Numbers y(static_cast<std::size_t>(rows * stride), -7);
        affine({.rows = rows,
                .channels = channels,
                .x = {x.data(), channels},
                .multiplier = m.data(),
                .addend = a.data(),
                .residual = {residual ? r.data() : nullptr, channels},
                .residual_scale = 0.25f,
                .activation = activation,
                .y = {y.data(), stride}});
        for (std::int64_t row = 0; row < rows; ++row) {
          for (std::int64_t c = 0; c < channels; ++c) {
            const std::int64_t i = row * channels + c;
            const double sum = static_cast<double>(x[i]) * m[c] + a[c] + (residual ? 0.25 * r[i] : 0);
            EXPECT_NEAR(y[row * stride + c], activated(activation, sum), 2e-6);  // of about 3
          }
          for (std::int64_t c = channels; c < stride; ++c)
            EXPECT_EQ(y[row * stride + c], -7) << "wrote past the channels";
        }
      }
    }
  }
}

// No finite number becomes NaN, large ones keep their limits, and a NaN shows.
TEST_P(Kernels, ActivationsHoldForExtremeValues) {
  const std::vector<float> values{-3e38f,  -1e4f, -200,   -104, -89, -88, -87,  -20,
                                  -1e-30f, 0,     1e-30f, 1,    20,  88,  1e4f, 3e38f};
  Numbers x(values), one(values.size() + overread, 1), zero(values.size() + overread, 0);
  x.resize(values.size() + overread);
  Numbers y(values.size());
  const auto count = static_cast<std::int64_t>(values.size());
  for (const Activation& activation : all_activations) {
    activate(activation, x, one, zero, count, y);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double expected = activated(activation, values[i]);
      // Three roundings; exp(89) is no float32, and GELU's left tail is as exact as its error function is.
      const bool exact = activation.kind == Activation::none || activation.kind == Activation::silu;
      EXPECT_NEAR(y[i], expected, 3e-7 * std::abs(expected) + (exact ? 1e-36 : 1e-7)) << values[i];
    }
    Numbers broken(1 + overread, std::nanf(""));
    activate(activation, broken, one, zero, 1, y);
    EXPECT_TRUE(std::isnan(y[0])) << with_activation(activation);
  }
}

// The whole range in which an activation is neither 0 nor x.
TEST_P(Kernels, ActivationsAreThoseOfDoublePrecision) {
  constexpr std::int64_t count = 4001;
  Numbers x(count + overread), one(count + overread, 1), zero(count + overread, 0), y(count);
  for (std::int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(i - 2000) * 0.005f;
  for (const Activation& activation : all_activations) {
    activate(activation, x, one, zero, count, y);
    for (std::int64_t i = 0; i < count; ++i) {
      const double expected = activated(activation, x[i]);
      // Roundings of values up to 10; 1.5e-7 of x/2 in GELU's error function.
      ASSERT_NEAR(y[i], expected, 3e-7 * std::max(std::abs(expected), 1.0)) << x[i];
    }
  }
}

TEST_P(Kernels, RowsAreNormalizedAsInDoublePrecision) {
  struct Way {
    bool centered;
    Floor floor;
    double epsilon;
  };
  for (const auto& [centered, floor, epsilon] :
       {Way{true, Floor::variance, 1e-5}, Way{false, Floor::variance, 1e-5}, Way{false, Floor::sum, 0.5},
        Way{false, Floor::least, 1e-5}, Way{false, Floor::least, 5}}) {
    for (const std::int64_t channels : {1, 3, 8, 15, 16, 17, 31, 64, 100, 513}) {
      for (const float mean : {0.0f, 1000.0f}) {
        const std::int64_t rows = 3, x_stride = channels + 3, stride = channels + 2;
        const Numbers x = random_numbers(rows * x_stride, 1, mean), m = random_numbers(channels, 2),
                      a = random_numbers(channels, 3);
        Numbers y(static_cast<std::size_t>(rows * stride), -7);
        normalize_rows({.rows = rows,
                        .channels = channels,
                        .x = {x.data(), x_stride},
                        .multiplier = m.data(),
                        .addend = a.data(),
                        .epsilon = epsilon,
                        .floor = floor,
                        .centered = centered,
                        .activation = {Activation::silu},
                        .y = {y.data(), stride}});
        for (std::int64_t row = 0; row < rows; ++row) {
          double own = 0, square = 0;
          for (std::int64_t c = 0; centered && c < channels; ++c) own += x[row * x_stride + c];
          own /= static_cast<double>(channels);
          for (std::int64_t c = 0; c < channels; ++c) square += std::pow(x[row * x_stride + c] - own, 2);
          const double variance = square / static_cast<double>(channels);
          const double divisor = floor == Floor::variance ? std::sqrt(variance + epsilon)
                                 : floor == Floor::sum    ? std::sqrt(variance) + epsilon
                                                          : std::max(std::sqrt(variance), epsilon);
          for (std::int64_t c = 0; c < channels; ++c) {
            const double expected = silu((x[row * x_stride + c] - own) / divisor * m[c] + a[c]);
            // float32 roundings of values of about 3.
            EXPECT_NEAR(y[row * stride + c], expected, 3e-6) << channels << " " << mean << " " << centered;
          }
          for (std::int64_t c = channels; c < stride; ++c)
            EXPECT_EQ(y[row * stride + c], -7) << "wrote past the channels";
        }
      }
    }
  }
}

TEST_P(Kernels, SoftmaxSumsToOneAndHoldsForExtremeValues) {
  for (const std::int64_t count : {1, 2, 15, 16, 17, 49, 256}) {
    for (const float spread : {0.0f, 1.0f, 1e4f, 1e30f}) {
      Numbers x = random_numbers(count, 5, 0, 1);
      for (std::int64_t i = 0; i < count; ++i) x[i] *= spread;
      const Numbers before = x;
      softmax(x.data(), count, 0.5f);
      double largest = before[0], sum = 0;
      for (std::int64_t i = 0; i < count; ++i) largest = std::max<double>(largest, before[i]);
      for (std::int64_t i = 0; i < count; ++i) sum += std::exp(0.5 * (before[i] - largest));
      for (std::int64_t i = 0; i < count; ++i) {
        EXPECT_NEAR(x[i], std::exp(0.5 * (before[i] - largest)) / sum, 1e-6) << count << " " << spread;  // of at most 1
      }
    }
  }
}

TEST_P(Kernels, SoftmaxOverRowsIsThatOfEachChannel) {
  for (const std::int64_t rows : {1, 3, 64, 300}) {
    for (const std::int64_t channels : {1, 7, 8, 33}) {
      for (const float spread : {1.0f, 1e30f}) {
        const std::int64_t stride = channels + 3;
        Numbers x = random_numbers(rows * stride, 5, 0, 1);
        for (float& value : x) value *= spread;
        Numbers y(static_cast<std::size_t>(rows * stride + overread), -7);  // it reads there what it wrote
        softmax_over_rows(rows, channels, {x.data(), stride}, {y.data(), stride});
        for (std::int64_t c = 0; c < channels; ++c) {
          Numbers one;
          for (std::int64_t r = 0; r < rows; ++r) one.push_back(x[r * stride + c]);
          const double largest = *std::max_element(one.begin(), one.end());
          double sum = 0;
          for (const float value : one) sum += std::exp(value - largest);
          for (std::int64_t r = 0; r < rows; ++r) {
            EXPECT_NEAR(y[r * stride + c], std::exp(one[r] - largest) / sum, 1e-6);  // of at most 1
          }
        }
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t c = channels; c < stride; ++c) EXPECT_EQ(y[r * stride + c], -7) << "another's";
        }
      }
    }
  }
}

TEST_P(Kernels, WhatLeavesChannelsApartLeavesPaddingOut) {
  for (const std::int64_t channels : {1, 8, 13}) {
    const Numbers x = random_numbers(3 * channels, 1), w = random_numbers(3 * channels, 2);
    auto taps = rows_of(x.data(), 3, channels);
    taps[1] = nullptr;
    std::array<Numbers, 3> results;
    for (Numbers& y : results) y.assign(static_cast<std::size_t>(channels + 1), -7);
    const auto& [by_channel, by_pixel, most] = results;
    depthwise(taps.data(), 3, channels, w.data(), results[0].data());
    weighted_sum(taps.data(), 3, channels, w.data(), results[1].data());
    largest(taps.data(), 3, channels, results[2].data());
    for (std::int64_t c = 0; c < channels; ++c) {
      const float first = x[c], third = x[2 * channels + c];
      EXPECT_NEAR(by_channel[c], first * w[c] + third * w[2 * channels + c], 1e-6);  // of about 1
      EXPECT_NEAR(by_pixel[c], first * w[0] + third * w[2], 1e-6);
      EXPECT_EQ(most[c], std::max(first, third));
    }
    for (const Numbers& y : results) EXPECT_EQ(y[channels], -7) << "another's";
  }
}

TEST_P(Kernels, TheLargestIsNaNIfOneIs) {
  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  for (const std::size_t at : {0, 1, 2}) {
    std::array<Numbers, 3> rows;
    for (Numbers& row : rows) row.assign(1 + overread, -infinity);
    float y = 0;
    const std::array<const float*, 3> taps{rows[0].data(), rows[1].data(), rows[2].data()};
    largest(taps.data(), 3, 1, &y);
    EXPECT_EQ(y, -infinity);
    rows[at][0] = nan;
    largest(taps.data(), 3, 1, &y);
    EXPECT_TRUE(std::isnan(y)) << at;
  }
}

TEST_P(Kernels, ProductMultiplies) {
  const std::int64_t channels = 11;
  const Numbers a = random_numbers(channels, 1), b = random_numbers(channels, 2);
  Numbers y(static_cast<std::size_t>(channels));
  multiply_elements(1, channels, {a.data(), channels}, {b.data(), channels}, {y.data(), channels});
  for (std::int64_t c = 0; c < channels; ++c) EXPECT_EQ(y[c], a[c] * b[c]);
}

// Lanes are columns, so that all instruction sets with fused multiply-add round alike.
TEST(InstructionSets, GiveTheSameBits) {
  const std::int64_t rows = 9, depth = 50, columns = 37;
  const Numbers x = random_numbers(rows * depth, 1), w = random_numbers(depth * columns, 2),
                addend = random_numbers(columns, 3);
  std::vector<Numbers> results;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (target > HWY_AVX2) continue;  // smaller is better; those after it have none
    hwy::SetSupportedTargetsForTest(target);
    Numbers packed(static_cast<std::size_t>(packed_size(depth, columns))),
        y(static_cast<std::size_t>(rows * columns) + overread);
    pack(w.data(), depth, columns, columns, 1, packed.data());
    const std::vector<const float*> addends(static_cast<std::size_t>(rows), addend.data());
    const Epilogue epilogue{addends.data(), nullptr, 1, {Activation::silu}};
    const auto from_x = rows_of(x.data(), rows, depth);
    const auto to_y = rows_of(y.data(), rows, columns);
    multiply({.rows = rows,
              .depth = depth,
              .a = from_x.data(),
              .packed = packed.data(),
              .columns = columns,
              .last_panel = panels(columns),
              .outputs = to_y.data(),
              .epilogue = &epilogue});
    for (std::int64_t r = 0; r < rows; ++r) softmax(y.data() + r * columns, columns, 1.0f);
    Numbers normalized(static_cast<std::size_t>(rows * columns) + overread);
    normalize_rows({.rows = rows,
                    .channels = columns,
                    .x = {y.data(), columns},
                    .multiplier = addend.data(),
                    .addend = addend.data(),
                    .epsilon = 1e-5,
                    .activation = {Activation::gelu},
                    .y = {normalized.data(), columns}});
    y.insert(y.end(), normalized.begin(), normalized.end());
    softmax_over_rows(rows, columns, {normalized.data(), columns}, {normalized.data(), columns});
    y.insert(y.end(), normalized.begin(), normalized.end());
    results.push_back(y);
  }
  hwy::SetSupportedTargetsForTest(0);
  for (const Numbers& result : results) EXPECT_EQ(result, results.front());
}

}  // namespace
}  // namespace onestep::kernels
