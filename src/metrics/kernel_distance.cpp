#include "kernel_distance.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace onestep {
namespace {

using torch::Tensor;

Tensor kernel(const Tensor& x, const Tensor& y) {
  const Tensor base = x.matmul(y.t()) / static_cast<double>(x.size(1)) + 1;
  return base * base * base;
}

/// Mean over pairs of two different points.
double mean_of_pairs(const Tensor& x) {
  const Tensor k = kernel(x, x);
  const auto n = static_cast<double>(x.size(0));
  return (k.sum() - k.trace()).item<double>() / (n * (n - 1));
}

/// The rows of a part in the order of place_of.
std::vector<std::int64_t> spread(const Part& part) {
  std::vector<std::pair<double, std::int64_t>> places;
  for (std::int64_t i = 0; i < part.count(); ++i)
    places.emplace_back(place_of(i), part.rows[static_cast<std::size_t>(i)]);
  std::sort(places.begin(), places.end());
  std::vector<std::int64_t> rows;
  for (const auto& place : places) rows.push_back(place.second);
  return rows;
}

}  // namespace

Estimate estimate(const std::vector<double>& of_parts) {
  const auto n = static_cast<double>(of_parts.size());
  const double mean = std::accumulate(of_parts.begin(), of_parts.end(), 0.0) / n;
  double squares = 0;
  for (const double value : of_parts) squares += (value - mean) * (value - mean);
  return {mean, n > 1 ? std::sqrt(squares / (n - 1) / n) : 0};
}

double place_of(std::int64_t i) {
  std::uint64_t z = (static_cast<std::uint64_t>(i) + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

Estimate kernel_distance(const Part& a, const Part& b, const std::function<void()>& between) {
  const torch::InferenceMode guard;
  const std::int64_t least = std::min(a.count(), b.count());
  const std::int64_t blocks = std::min(std::max<std::int64_t>(least / 1000, 10), least / 2);
  const std::vector<std::int64_t> rows_a = spread(a), rows_b = spread(b);
  std::vector<double> distances;
  for (std::int64_t i = 0; i < blocks; ++i) {
    if (between) between();
    const auto piece = [&](const Part& part, std::span<const std::int64_t> rows) {
      const std::int64_t first = i * part.count() / blocks, end = (i + 1) * part.count() / blocks;
      return part.set.gather(rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(end - first)));
    };
    const Tensor x = piece(a, rows_a), y = piece(b, rows_b);
    distances.push_back(mean_of_pairs(x) + mean_of_pairs(y) - 2 * kernel(x, y).mean().item<double>());
  }
  return estimate(distances);
}

}  // namespace onestep
