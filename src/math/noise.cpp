#include "noise.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace onestep {
namespace {

constexpr std::uint32_t gaussian_stream = 0;
constexpr std::uint32_t label_stream = 1;
constexpr std::uint32_t plane_stream = 2;

std::array<std::uint32_t, 2> key_of(std::uint64_t seed) {
  return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
}

// The middle of the w-th of 2^32 equal cells of (0, 1): never 0, so that its logarithm is finite.
double uniform(std::uint32_t w) { return (w + 0.5) * 0x1p-32; }

/// Four unit Gaussians of a block, by Box-Muller.
std::array<float, 4> normals_of(std::array<std::uint32_t, 4> counter, std::uint64_t seed) {
  const auto w = philox4x32(counter, key_of(seed));
  std::array<float, 4> normals;
  for (std::size_t pair = 0; pair < 4; pair += 2) {
    const double radius = std::sqrt(-2 * std::log(uniform(w[pair])));
    const double angle = 2 * std::numbers::pi * uniform(w[pair + 1]);
    normals[pair] = static_cast<float>(radius * std::cos(angle));
    normals[pair + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return normals;
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9;  // the golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

void gaussian_noise(std::uint64_t seed, std::uint32_t draw, std::span<float> z) {
  for (std::uint64_t block = 0; 4 * block < z.size(); ++block) {
    const std::array<float, 4> normals = normals_of(
        {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), draw, gaussian_stream}, seed);
    const auto rest = z.subspan(4 * block);
    std::copy_n(normals.begin(), std::min<std::size_t>(4, rest.size()), rest.begin());
  }
}

void plane_noise(std::uint64_t seed, std::uint32_t layer, std::int64_t x, std::int64_t y, std::span<float> z) {
  while (!z.empty()) {
    x = static_cast<std::int32_t>(x);
    const std::int64_t block = x >> 2;  // rounded down, of negative numbers too
    const auto first = static_cast<std::size_t>(x - 4 * block);
    const std::array<float, 4> normals =
        normals_of({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(y), layer, plane_stream}, seed);
    const std::size_t count = std::min(4 - first, z.size());
    std::copy_n(normals.begin() + static_cast<std::ptrdiff_t>(first), count, z.begin());
    x += static_cast<std::int64_t>(count);
    z = z.subspan(count);
  }
}

std::int64_t random_label(std::uint64_t seed, std::int64_t count) {
  return static_cast<std::int64_t>(philox4x32({0, 0, 0, label_stream}, key_of(seed))[0]) % count;
}

}  // namespace onestep
