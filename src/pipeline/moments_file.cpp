#include <cmath>

#include "array_file.hpp"
#include "onestep/evaluate.hpp"
#include "output_file.hpp"

namespace onestep {
namespace {

std::vector<double> read_numbers(ArrayFile& array, std::size_t count) {
  std::vector<double> numbers(count);
  if (array.type() == ArrayType::float64) {
    array.read(std::span(numbers));
  } else {
    std::vector<float> floats(count);
    array.read(std::span(floats));
    numbers.assign(floats.begin(), floats.end());
  }
  return numbers;
}

}  // namespace

FeatureMoments read_moments(const std::string& file) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, file + ": " + what); };
  const std::vector types{ArrayType::float64, ArrayType::float32};
  ArrayFile mean(file, "mu", types), covariance(file, "sigma", types);
  const auto &of_mean = mean.shape(), &of_covariance = covariance.shape();
  if (of_mean.size() != 1 || of_mean[0] < 1 || of_covariance != std::vector{of_mean[0], of_mean[0]})
    fail("mu must be [D] and sigma [D, D], as pytorch-fid writes them");
  const auto size = static_cast<std::size_t>(of_mean[0]);
  FeatureMoments moments{of_mean[0], read_numbers(mean, size), read_numbers(covariance, size * size)};
  for (const auto* numbers : {&moments.mean, &moments.covariance}) {
    for (const double number : *numbers) {
      if (!std::isfinite(number)) fail("holds NaN or infinity; make it again");
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      const double a = moments.covariance[i * size + j], b = moments.covariance[j * size + i];
      // A covariance that was summed in float32 has as much of a difference as its largest numbers are rounded by.
      const double scale = std::sqrt(std::abs(moments.covariance[i * size + i] * moments.covariance[j * size + j]));
      if (moments.covariance[i * size + i] < 0 || std::abs(a - b) > 1e-3 * scale)
        fail("sigma is no covariance: it must be symmetric, with nothing below 0 on its diagonal");
    }
  }
  return moments;
}

void write_moments(const std::string& file, const FeatureMoments& moments) {
  const auto d = moments.dimensions;
  write_file(file, encode_npz({{"mu", {std::span<const double>(moments.mean), {d}}},
                               {"sigma", {std::span<const double>(moments.covariance), {d, d}}}}));
}

}  // namespace onestep
