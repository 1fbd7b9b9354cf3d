#pragma once

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/bf16.hpp"

namespace onestep::kernels {

/// `count` numbers, and as many more as a kernel may read: NaN, as what lies behind is never used.
inline std::vector<float> random_numbers(std::int64_t count, unsigned seed, float mean = 0, float deviation = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& number : numbers) number = normal(engine);
  numbers.resize(numbers.size() + overread, std::nanf(""));
  return numbers;
}

namespace bf16 {

inline float as_float(Number number) { return std::bit_cast<float>(static_cast<std::uint32_t>(number) << 16); }

}  // namespace bf16
}  // namespace onestep::kernels
