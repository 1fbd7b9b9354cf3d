#include "onestep/interpolate.hpp"

#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "noise.hpp"
#include "onestep/error.hpp"
#include "preconditioning.hpp"
#include "require.hpp"

namespace onestep {
namespace {

using Values = std::vector<float>;

constexpr std::size_t most_values = std::size_t{1} << 28;  // 1 GiB

std::size_t size_of(const ModelInfo& info) {
  return std::accumulate(info.sample.shape.begin(), info.sample.shape.end(), std::size_t{1}, std::multiplies<>());
}

/// sin((1-t) psi) / sin(psi) * a + sin(t psi) / sin(psi) * b, with psi the angle between a and b.
void slerp(const Values& a, const Values& b, double t, std::span<float> out) {
  double product = 0, squares_a = 0, squares_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += double(a[i]) * b[i];
    squares_a += double(a[i]) * a[i];
    squares_b += double(b[i]) * b[i];
  }
  const double cosine = product / std::sqrt(squares_a * squares_b);
  double weight_a = 1 - t, weight_b = t;
  // Ends of nearly one direction, or opposite, where no great circle is the shortest: a straight line.
  if (std::abs(cosine) < 1 - 1e-6) {
    const double psi = std::acos(cosine);
    weight_a = std::sin((1 - t) * psi) / std::sin(psi);
    weight_b = std::sin(t * psi) / std::sin(psi);
  }
  for (std::size_t i = 0; i < a.size(); ++i) out[i] = static_cast<float>(weight_a * a[i] + weight_b * b[i]);
}

Values interpolate(const Values& first, const Values& last, std::uint64_t seed, int frames, int draws) {
  require_whole("frames", frames, 2, 100'000);
  require_whole("draws", draws, 1, 10'000);
  const std::size_t size = first.size();
  const std::size_t values = static_cast<std::size_t>(draws) * frames * size;
  if (values > most_values) {
    refuse(std::to_string(frames) + " frames x " + std::to_string(draws) + " draws x " + std::to_string(size) +
           " values must be at most " + std::to_string(most_values) + "; take fewer frames at a time");
  }
  Values noise(values);
  const auto at = [&](int draw, int frame) {
    return std::span(noise).subspan((static_cast<std::size_t>(draw) * frames + frame) * size, size);
  };
  for (int frame = 0; frame < frames; ++frame) {
    slerp(first, last, double(frame) / (frames - 1), at(0, frame));
    for (int draw = 1; draw < draws; ++draw) gaussian_noise(seed, static_cast<std::uint32_t>(draw), at(draw, frame));
  }
  return noise;
}

}  // namespace

std::vector<float> interpolate_seeds(const ModelInfo& info, std::uint64_t first, std::uint64_t last, int frames,
                                     int draws) {
  Values a(size_of(info)), b(size_of(info));
  gaussian_noise(first, 0, a);
  gaussian_noise(last, 0, b);
  return interpolate(a, b, first, frames, draws);
}

std::vector<float> interpolate_samples(const ModelInfo& info, const std::vector<float>& first,
                                       const std::vector<float>& last, double sigma, std::uint64_t seed, int frames,
                                       int draws) {
  if (!(sigma > 0) || !std::isfinite(sigma)) {
    refuse("sigma = " + std::to_string(sigma) + " must be a finite number above 0");
  }
  Values z(size_of(info));
  gaussian_noise(seed, 0, z);
  // What the sampler multiplies its noise by.
  const double scale = initial_scale(info, sigma);
  const auto noised = [&](const Values& sample) {
    if (sample.size() != z.size()) {
      refuse("a sample has " + std::to_string(sample.size()) + " values; it must have " + std::to_string(z.size()));
    }
    require_finite("sample", sample);
    Values x(z.size());
    for (std::size_t i = 0; i < z.size(); ++i) x[i] = static_cast<float>((sample[i] + sigma * z[i]) / scale);
    return x;
  };
  return interpolate(noised(first), noised(last), seed, frames, draws);
}

}  // namespace onestep
