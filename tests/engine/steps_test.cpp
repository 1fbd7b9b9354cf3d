#include "run/steps.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "numbers.hpp"
#include "run/memory.hpp"

namespace onestep::engine {
namespace {

/// Buffers of numbers and a way to run one step on them.
class Bench {
 public:
  explicit Bench(std::int64_t samples) : samples_(samples) {}

  /// A buffer of `count` rows of `channels`, `stride` apart, filled with random numbers.
  Rows add(std::int64_t count, std::int64_t channels, std::int64_t stride = 0, float mean = 0, float deviation = 1) {
    if (stride == 0) stride = channels;
    const Rows rows{buffers_.size(), 0, count, stride, channels};
    buffers_.push_back({count * stride, total_});
    total_ += count * stride;
    std::normal_distribution<float> normal(mean, deviation);
    memory_.resize(static_cast<std::size_t>(total_ * samples_));
    for (auto i = memory_.end() - count * stride * samples_; i != memory_.end(); ++i) *i = normal(engine_);
    return rows;
  }

  void run(const std::unique_ptr<Step>& step, std::int64_t threads) {
    memory_.resize(static_cast<std::size_t>(total_ * samples_ + kernels::overread), std::nanf(""));
    std::vector<std::byte> shared(static_cast<std::size_t>(step->shared_bytes() * samples_));
    Run run = this->view();
    run.shared = shared.data();
    run.threads = run.cut_for = threads;
    run_steps({&step, 1}, run);
  }

  /// Runs it on one thread, then on several, which have to make the same numbers.
  void run_on_any(const std::unique_ptr<Step>& step) {
    run(step, 1);
    const std::vector<float> one_thread = numbers();
    for (const std::int64_t threads : {2, 3, 16}) {
      run(step, threads);
      EXPECT_EQ(numbers(), one_thread) << threads << " threads";
    }
  }

  double at(const Rows& rows, std::int64_t sample, std::int64_t row, std::int64_t channel) const {
    return const_cast<Bench*>(this)->view().at(rows, sample)[row * rows.stride + channel];
  }

  std::vector<float> numbers() const { return {memory_.begin(), memory_.begin() + total_ * samples_}; }

 private:
  Run view() {
    Run run;
    run.samples = samples_;
    run.workspace = memory_.data();
    run.buffers = buffers_.data();
    return run;
  }

  std::int64_t samples_, total_ = 0;
  std::vector<float> memory_;
  std::vector<Buffer> buffers_;
  std::mt19937 engine_{7};
};

PackedWeights packed_weights;

Row row_of(std::vector<float> numbers) {
  numbers.resize(numbers.size() + kernels::overread);
  return {std::make_shared<const std::vector<float>>(std::move(numbers))};
}

std::vector<float> random_numbers(std::int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& number : numbers) number = normal(engine);
  return numbers;
}

Gather window3x3(std::int64_t height, std::int64_t width) {
  Gather gather{height * width, 9, {}};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      for (std::int64_t i = y - 1; i <= y + 1; ++i) {
        for (std::int64_t j = x - 1; j <= x + 1; ++j) {
          const bool inside = i >= 0 && i < height && j >= 0 && j < width;
          gather.index.push_back(static_cast<std::int32_t>(inside ? i * width + j : -1));
        }
      }
    }
  }
  return gather;
}

struct Shape {
  std::int64_t height, width, depth, columns;
};

float as_bf16(double x) {
  std::vector<float> one(1 + kernels::overread, static_cast<float>(x));
  std::vector<kernels::bf16::Number> number(kernels::bf16::padded(1));
  kernels::bf16::convert(one.data(), 1, number.data());
  return kernels::bf16::as_float(number[0]);
}

/// A convolution of window `gather` with an addend and a residual, into a part of wider rows, against double precision.
void expect_the_sum(const Shape& shape, const Gather& gather, bool whole_image,
                    std::optional<kernels::bf16::Unit> unit) {
  for (const std::int64_t samples : {1, 3, 9}) {
    Bench bench(samples);
    const std::int64_t pixels = gather.pixels, taps = gather.taps;
    Convolution convolution;
    convolution.input = bench.add(shape.height * shape.width, shape.depth, shape.depth + 3);
    convolution.residual = bench.add(pixels, shape.columns);
    Rows whole = bench.add(pixels, shape.columns + 4);
    convolution.output = whole;
    convolution.output.offset = 2;
    convolution.output.channels = shape.columns;
    if (taps > 1) convolution.gather = gather;
    convolution.weights = random_numbers(shape.columns * shape.depth * taps, 3);
    const std::vector<float> addend = random_numbers(shape.columns, 4);
    convolution.addend = row_of(addend);
    convolution.residual_scale = -0.5f;
    const Convolution c = convolution;
    const double first = bench.at(whole, 0, 0, 0), last = bench.at(whole, samples - 1, pixels - 1, shape.columns + 3);

    std::vector<float> one_worker;
    std::string algorithm;
    for (const std::int64_t workers : {1, 2, 5}) {
      const auto image = whole_image ? std::optional(WholeImage{shape.height, shape.width}) : std::nullopt;
      const auto step = convolution_step(convolution, image, unit, packed_weights);
      algorithm = step->describe();
      bench.run(step, workers);
      if (workers == 1) one_worker = bench.numbers();
      EXPECT_EQ(bench.numbers(), one_worker) << algorithm << " depends on the number of workers";
    }
    const bool in_bf16 = algorithm.find("bf16") != std::string::npos;
    EXPECT_EQ(in_bf16, unit.has_value()) << algorithm << " is not what is cheapest";
    const auto exact = [&](double x) { return in_bf16 ? as_bf16(x) : x; };
    std::vector<double> weights;
    for (const float weight : c.weights) weights.push_back(exact(weight));
    for (std::int64_t s = 0; s < samples; ++s) {
      std::vector<double> x;
      for (std::int64_t i = 0; i < shape.height * shape.width * shape.depth; ++i) {
        x.push_back(exact(bench.at(c.input, s, i / shape.depth, i % shape.depth)));
      }
      for (std::int64_t p = 0; p < pixels; ++p) {
        for (std::int64_t n = 0; n < shape.columns; ++n) {
          double sum = addend[n] - 0.5 * bench.at(*c.residual, s, p, n);
          for (std::int64_t t = 0; t < taps; ++t) {
            const std::int64_t row = gather.index[p * taps + t];
            if (row < 0) continue;
            for (std::int64_t k = 0; k < shape.depth; ++k) {
              sum += x[row * shape.depth + k] * weights[(n * shape.depth + k) * taps + t];
            }
          }
          // Of sums of about sqrt(9 depth): F(4, 3) loses some three bits of float32's 24.
          const double allowed = 1e-5 * std::sqrt(9.0 * static_cast<double>(shape.depth)) + 1e-6;
          ASSERT_NEAR(bench.at(c.output, s, p, n), sum, allowed)
              << algorithm << ": " << shape.height << "x" << shape.width << " " << shape.depth;
        }
      }
    }
    EXPECT_EQ(bench.at(whole, 0, 0, 0), first) << "wrote before its columns";
    EXPECT_EQ(bench.at(whole, samples - 1, pixels - 1, shape.columns + 3), last) << "wrote behind its columns";
  }
}

const std::vector<Shape> shapes{{1, 1, 1, 1},     {1, 7, 3, 5},     {3, 3, 8, 8},     {7, 5, 20, 33},
                                {7, 7, 64, 32},   {13, 9, 17, 16},  {14, 14, 48, 40}, {16, 16, 32, 64},
                                {28, 28, 16, 24}, {14, 14, 32, 96}, {28, 28, 1, 64},  {20, 20, 12, 160}};

// Direct and by Winograd's algorithm, whichever the shape asks for.
TEST(Convolution, IsTheSumInDoublePrecisionForEveryShape) {
  for (const Shape& shape : shapes) {
    expect_the_sum(shape, window3x3(shape.height, shape.width), true, std::nullopt);
    expect_the_sum(shape, window3x3(shape.height, shape.width), false, std::nullopt);
  }
}

// On every unit that this CPU has.
TEST(Convolution, IsInBf16TheSumOfRoundedNumbers) {
  for (const kernels::bf16::Unit unit : kernels::bf16::units()) {
    // Of AVX512-BF16 the price is another: Winograd's algorithm in float32 is cheaper for most of these.
    if (unit == kernels::bf16::Unit::avx512) continue;
    for (const Shape& shape : {Shape{1, 1, 32, 32},
                               {1, 40, 64, 33},
                               {7, 5, 40, 33},
                               {7, 7, 64, 32},
                               {14, 14, 48, 40},
                               {16, 16, 32, 64},
                               {33, 28, 32, 32},
                               {3, 600, 32, 32}}) {
      expect_the_sum(shape, window3x3(shape.height, shape.width), true, unit);
    }
    for (const Shape& shape : {Shape{1, 1, 32, 32}, {7, 5, 40, 33}, {20, 20, 64, 64}}) {
      expect_the_sum(shape, window3x3(shape.height, shape.width), false, unit);
      Gather itself{shape.height * shape.width, 1, {}};
      for (std::int32_t i = 0; i < itself.pixels; ++i) itself.index.push_back(i);
      expect_the_sum(shape, itself, false, unit);
    }
  }
}

TEST(GroupNormalization, IsThatOfDoublePrecisionForEveryShapeAndFarMeans) {
  for (const std::int64_t rows : {1, 9, 300}) {
    for (const auto& [channels, groups] : {std::pair{4, 4}, {6, 3}, {12, 1}, {40, 8}, {33, 11}}) {
      for (const float mean : {0.0f, 1000.0f}) {
        Bench bench(2);
        Normalization n;
        n.input = bench.add(rows, channels, channels + 5, mean);
        n.output = bench.add(rows, channels, channels + 1);
        n.groups = groups;
        const auto scale = random_numbers(channels, 1), shift = random_numbers(channels, 2);
        n.multiplier = row_of(scale);
        n.addend = row_of(shift);
        bench.run(normalization_step(n), 3);
        const std::int64_t group = channels / groups;
        for (std::int64_t s = 0; s < 2; ++s) {
          for (std::int64_t c = 0; c < channels; ++c) {
            double sum = 0, square = 0;
            for (std::int64_t r = 0; r < rows; ++r) {
              for (std::int64_t k = c / group * group; k < c / group * group + group; ++k)
                sum += bench.at(n.input, s, r, k);
            }
            const double count = static_cast<double>(rows * group), own = sum / count;
            for (std::int64_t r = 0; r < rows; ++r) {
              for (std::int64_t k = c / group * group; k < c / group * group + group; ++k) {
                square += std::pow(bench.at(n.input, s, r, k) - own, 2);
              }
            }
            for (std::int64_t r = 0; r < rows; ++r) {
              const double inverse = 1 / std::sqrt(square / count + 1e-5);
              const double expected = (bench.at(n.input, s, r, c) - own) * inverse * scale[c] + shift[c];
              // The multiplier and the addend are float32: of a mean of 1000 a rounding of it remains, of a group of
              // one number 1 / sqrt(epsilon) of that.
              const double allowed = 3e-6 + 2e-7 * std::abs(own) * inverse * std::abs(scale[c]);
              ASSERT_NEAR(bench.at(n.output, s, r, c), expected, allowed)
                  << rows << " " << channels << " " << groups << " " << mean;
            }
          }
        }
      }
    }
  }
}

TEST(RowNormalization, DoesNotDependOnTheWorkers) {
  for (const Moments moments : {Moments::row, Moments::row_square}) {
    Bench bench(3);
    Normalization n;
    n.input = bench.add(300, 40, 45, 2);
    n.output = bench.add(300, 40, 41);
    n.moments = moments;
    const auto scale = random_numbers(40, 1), shift = random_numbers(40, 2);
    n.multiplier = row_of(scale);
    n.addend = row_of(shift);
    const auto step = normalization_step(n);
    bench.run_on_any(step);
    for (std::int64_t s = 0; s < 3; ++s) {
      for (std::int64_t r = 0; r < 300; ++r) {
        double mean = 0, square = 0;
        for (std::int64_t c = 0; c < 40 && moments == Moments::row; ++c) mean += bench.at(n.input, s, r, c) / 40;
        for (std::int64_t c = 0; c < 40; ++c) square += std::pow(bench.at(n.input, s, r, c) - mean, 2) / 40;
        for (std::int64_t c = 0; c < 40; ++c) {
          const double expected =
              (bench.at(n.input, s, r, c) - mean) / std::sqrt(square + n.epsilon) * scale[c] + shift[c];
          ASSERT_NEAR(bench.at(n.output, s, r, c), expected, 3e-6);  // float32 roundings of about 3
        }
      }
    }
  }
}

TEST(Attention, IsThatOfDoublePrecisionAndDoesNotDependOnTheWorkers) {
  for (const std::int64_t tokens : {1, 5, 49, 100}) {
    for (const std::int64_t depth : {3, 16}) {
      constexpr std::int64_t heads = 3, samples = 2;
      Bench bench(samples);
      const Rows qkv = bench.add(tokens, 3 * heads * depth), out = bench.add(tokens, heads * depth);
      const auto part = [&](std::int64_t which) {
        return View{qkv.buffer, which * heads * depth, {heads, tokens, depth}, {depth, qkv.stride, 1}};
      };
      const View output{out.buffer, 0, {heads, tokens, depth}, {depth, out.stride, 1}};
      const auto step = attention_step({part(0), part(1), part(2), output, 0.3f});
      bench.run_on_any(step);
      for (std::int64_t s = 0; s < samples; ++s) {
        for (std::int64_t h = 0; h < heads; ++h) {
          for (std::int64_t t = 0; t < tokens; ++t) {
            std::vector<double> weights;
            for (std::int64_t u = 0; u < tokens; ++u) {
              double score = 0;
              for (std::int64_t c = 0; c < depth; ++c) {
                score += bench.at(qkv, s, t, h * depth + c) * bench.at(qkv, s, u, (heads + h) * depth + c);
              }
              weights.push_back(std::exp(0.3 * score));
            }
            const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
            for (std::int64_t c = 0; c < depth; ++c) {
              double expected = 0;
              for (std::int64_t u = 0; u < tokens; ++u) {
                expected += weights[u] / sum * bench.at(qkv, s, u, (2 * heads + h) * depth + c);
              }
              ASSERT_NEAR(bench.at(out, s, t, h * depth + c), expected, 1e-5);  // float32 sums of numbers of about 1
            }
          }
        }
      }
    }
  }
}

TEST(MatrixProduct, IsThatOfDoublePrecisionAndDoesNotDependOnTheWorkers) {
  for (const std::int64_t rows : {1, 5, 100}) {
    for (const std::int64_t columns : {1, 3, 40}) {
      constexpr std::int64_t heads = 3, samples = 2, depth = 17;
      Bench bench(samples);
      const Rows a = bench.add(rows, heads * depth), b = bench.add(columns, heads * depth),
                 out = bench.add(rows, heads * columns);
      // b's rows are its columns.
      const auto step = matrix_product_step({{a.buffer, 0, {heads, rows, depth}, {depth, a.stride, 1}},
                                             {b.buffer, 0, {heads, depth, columns}, {depth, 1, b.stride}},
                                             {out.buffer, 0, {heads, rows, columns}, {columns, out.stride, 1}}});
      bench.run_on_any(step);
      for (std::int64_t s = 0; s < samples; ++s) {
        for (std::int64_t h = 0; h < heads; ++h) {
          for (std::int64_t i = 0; i < rows; ++i) {
            for (std::int64_t k = 0; k < columns; ++k) {
              double expected = 0;
              for (std::int64_t c = 0; c < depth; ++c) {
                expected += bench.at(a, s, i, h * depth + c) * bench.at(b, s, k, h * depth + c);
              }
              ASSERT_NEAR(bench.at(out, s, i, h * columns + k), expected, 1e-5);  // float32 sums of numbers of about 1
            }
          }
        }
      }
    }
  }
}

// Along the closest dimension and along another, on one worker and on many.
TEST(Softmax, IsTakenOverItsDimensionAlone) {
  for (const std::size_t dimension : {0u, 1u, 2u}) {
    constexpr std::int64_t samples = 2, pixels = 150, heads = 3, depth = 5;
    Bench bench(samples);
    const Rows x = bench.add(pixels, heads * depth), y = bench.add(pixels, heads * depth);
    const auto all = [&](const Rows& rows) {
      return View{rows.buffer, 0, {pixels, heads, depth}, {rows.stride, depth, 1}};
    };
    const auto step = softmax_step({all(x), all(y), dimension, 2});
    bench.run_on_any(step);
    const std::vector<std::int64_t> sizes{pixels, heads, depth};
    for (std::int64_t s = 0; s < samples; ++s) {
      for (std::int64_t p = 0; p < pixels; ++p) {
        for (std::int64_t h = 0; h < heads; ++h) {
          for (std::int64_t c = 0; c < depth; ++c) {
            double sum = 0;
            for (std::int64_t i = 0; i < sizes[dimension]; ++i) {
              std::vector<std::int64_t> at{p, h, c};
              at[dimension] = i;
              sum += std::exp(bench.at(x, s, at[0], at[1] * depth + at[2]));
            }
            const std::int64_t channel = h * depth + c;
            ASSERT_NEAR(bench.at(y, s, p, channel), std::exp(bench.at(x, s, p, channel)) / sum, 1e-6);  // of at most 1
          }
        }
      }
    }
  }
}

// Of every order of dimensions, dense, apart and repeated, on one worker and on many.
TEST(Copy, PutsEveryNumberInItsPlace) {
  std::vector<std::size_t> order{0, 1, 2, 3};
  const std::vector<std::int64_t> sizes{2, 1, 3, 5};
  do {
    for (const std::int64_t apart : {1, 2}) {
      for (const std::int64_t workers : {1, 5}) {
        Bench bench(2);
        const Rows from = bench.add(30, apart), to = bench.add(30, 1);
        View source{from.buffer, 0, sizes, std::vector<std::int64_t>(4)};
        std::int64_t stride = apart;
        for (const std::size_t d : order) {
          source.strides[d] = stride;
          stride *= sizes[d];
        }
        if (apart == 2) source.strides[0] = 0;  // an expanded dimension
        const View target{to.buffer, 0, sizes, {15, 15, 5, 1}};
        bench.run(copy_step({source, target, 2}), workers);
        for (std::int64_t s = 0; s < 2; ++s) {
          for (std::int64_t i = 0; i < 30; ++i) {
            const std::int64_t place =
                i / 15 * source.strides[0] + i / 5 % 3 * source.strides[2] + i % 5 * source.strides[3];
            EXPECT_EQ(bench.at(to, s, i, 0), 2 * bench.at(from, s, place / apart, place % apart));
          }
        }
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

class Touches : public Step {
 public:
  Touches(std::vector<std::size_t> reads, std::vector<std::size_t> writes)
      : reads_(std::move(reads)), writes_(std::move(writes)) {}
  std::int64_t items(const Run&, std::int64_t) const override { return 0; }
  double cost(const Run&, std::int64_t) const override { return 0; }
  void do_item(const Run&, std::int64_t, std::int64_t, std::byte*) const override {}
  std::vector<std::size_t> reads() const override { return reads_; }
  std::vector<std::size_t> writes() const override { return writes_; }
  std::string describe() const override { return ""; }

 private:
  std::vector<std::size_t> reads_, writes_;
};

TEST(Memory, IsSharedByBuffersThatAreNotNeededAtTheSameTimeOnly) {
  std::vector<Buffer> buffers{{10}, {20}, {10}, {20}, {5}};
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(std::make_unique<Touches>(std::vector<std::size_t>{}, std::vector<std::size_t>{0}));
  steps.push_back(std::make_unique<Touches>(std::vector<std::size_t>{0}, std::vector<std::size_t>{1}));
  steps.push_back(std::make_unique<Touches>(std::vector<std::size_t>{1}, std::vector<std::size_t>{2}));
  steps.push_back(std::make_unique<Touches>(std::vector<std::size_t>{2}, std::vector<std::size_t>{3}));
  EXPECT_EQ(plan_memory(steps, buffers), 16 + 32);  // two neighbours at a time, each of whole lines
  for (const Buffer& buffer : buffers) EXPECT_EQ(buffer.offset % 16, 0);
  const auto apart = [&](int a, int b) {
    return buffers[a].offset + buffers[a].size <= buffers[b].offset ||
           buffers[b].offset + buffers[b].size <= buffers[a].offset;
  };
  EXPECT_TRUE(apart(0, 1));
  EXPECT_TRUE(apart(1, 2));
  EXPECT_TRUE(apart(2, 3));
}

// What lowering gets wrong is an error, and no other memory is read.
TEST(Steps, RefuseToReadBeyondTheirInput) {
  Convolution convolution;
  convolution.input = {0, 0, 12, 2, 2};
  convolution.output = {1, 0, 12, 1, 1};
  convolution.gather = window3x3(3, 4);
  convolution.weights = random_numbers(2 * 9, 1);
  EXPECT_NO_THROW(convolution_step(convolution, std::nullopt, std::nullopt, packed_weights));
  convolution.input.count = 11;
  EXPECT_THROW(convolution_step(convolution, std::nullopt, std::nullopt, packed_weights), std::logic_error);
  convolution.input.count = 12;
  convolution.output.count = 24;  // two images, and a window for one
  EXPECT_THROW(convolution_step(convolution, std::nullopt, std::nullopt, packed_weights), std::logic_error);
  convolution.gather.reset();
  EXPECT_THROW(convolution_step(convolution, std::nullopt, std::nullopt, packed_weights), std::logic_error);
}

}  // namespace
}  // namespace onestep::engine
