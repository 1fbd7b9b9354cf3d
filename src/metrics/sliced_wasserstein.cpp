#include "sliced_wasserstein.hpp"

#include <algorithm>

#include "noise.hpp"

namespace onestep {
namespace {

using torch::Tensor;

/// The q-th quantiles, q [Q] in (0, 1), of sorted columns [N, P], with the k-th of N values at (k + 1/2) / N: [Q, P].
Tensor quantiles(const Tensor& sorted, const Tensor& q) {
  const std::int64_t last = sorted.size(0) - 1;
  const Tensor place = (q * static_cast<double>(sorted.size(0)) - 0.5).clamp(0, static_cast<double>(last));
  const Tensor below = place.floor().to(torch::kInt64), above = (below + 1).clamp_max(last);
  const Tensor low = sorted.index_select(0, below), high = sorted.index_select(0, above);
  return low + (place - below).unsqueeze(1) * (high - low);
}

}  // namespace

double sliced_wasserstein(const Tensor& a, const Tensor& b, std::int64_t projections) {
  const torch::InferenceMode guard;
  Tensor directions = torch::empty({projections, a.size(1)});
  gaussian_noise(0, 0, {directions.data_ptr<float>(), static_cast<std::size_t>(directions.numel())});
  directions /= directions.norm(2, 1, /*keepdim=*/true);
  const std::int64_t n = std::min(a.size(0), b.size(0));
  const Tensor q = (torch::arange(n, torch::kFloat64) + 0.5) / static_cast<double>(n);
  double sum = 0;
  // A few at a time: projections of a million points take memory.
  for (const Tensor& some : directions.split(16)) {
    const auto sorted = [&](const Tensor& points) {
      return std::get<0>(points.matmul(some.t()).sort(0)).to(torch::kFloat64);
    };
    sum += (quantiles(sorted(a), q) - quantiles(sorted(b), q)).square().mean(0).sum().item<double>();
  }
  return std::sqrt(sum / static_cast<double>(projections));
}

}  // namespace onestep
