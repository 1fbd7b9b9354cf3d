#include "frechet.hpp"

#include <array>

namespace onestep {
namespace {

using torch::Tensor;

Tensor matrix(const std::vector<double>& values, std::vector<std::int64_t> shape) {
  return torch::from_blob(const_cast<double*>(values.data()), shape, torch::kFloat64);
}

std::vector<double> values_of(const Tensor& tensor) {
  return {tensor.const_data_ptr<double>(), tensor.const_data_ptr<double>() + tensor.numel()};
}

}  // namespace

void MomentSums::add(const Tensor& points) {
  const torch::InferenceMode guard;
  const Tensor x = points.to(torch::kFloat64);
  const std::int64_t n = x.size(0);
  if (n == 0) return;
  if (count_ == 0) {
    mean_ = torch::zeros({x.size(1)}, torch::kFloat64);
    squares_ = torch::zeros({x.size(1), x.size(1)}, torch::kFloat64);
  }
  const Tensor mean = x.mean(0), centred = x - mean, apart = mean - mean_;
  const auto had = static_cast<double>(count_), has = static_cast<double>(n), all = had + has;
  squares_.addmm_(centred.t(), centred);
  squares_.addr_(apart, apart, 1, had * has / all);
  mean_ += apart * (has / all);
  count_ += n;
}

std::int64_t common_size(std::int64_t size, const SumOver& sum) {
  std::array<double, 2> known{static_cast<double>(size), size > 0 ? 1.0 : 0.0};
  sum(known);
  return known[1] > 0 ? static_cast<std::int64_t>(known[0] / known[1]) : 0;
}

void MomentSums::sum_over(const SumOver& sum) {
  const torch::InferenceMode guard;
  const std::int64_t d = common_size(dimensions(), sum);
  if (d == 0) return;
  if (count_ == 0) {
    mean_ = torch::zeros({d}, torch::kFloat64);
    squares_ = torch::zeros({d, d}, torch::kFloat64);
  }
  const auto numbers = [](const Tensor& tensor) {
    return std::span(tensor.data_ptr<double>(), static_cast<std::size_t>(tensor.numel()));
  };
  const auto own = static_cast<double>(count_);
  const Tensor total = torch::cat({torch::full({1}, own, torch::kFloat64), mean_ * own});
  sum(numbers(total));
  const double all = total[0].item<double>();
  if (all == 0) return;
  // Each process's squares about the mean of all.
  const Tensor mean = total.slice(0, 1) / all, apart = mean_ - mean;
  squares_.addr_(apart, apart, 1, own);
  sum(numbers(squares_));
  mean_ = mean;
  count_ = static_cast<std::int64_t>(all);
}

FeatureMoments MomentSums::moments() const {
  const torch::InferenceMode guard;
  return {mean_.size(0), values_of(mean_), values_of(squares_ / static_cast<double>(count_ - 1))};
}

FeatureMoments moments_of(const Part& part) {
  constexpr std::int64_t block = 1024;
  MomentSums sums;
  for (std::int64_t first = 0; first < part.count(); first += block) sums.add(part.block(first, block));
  return sums.moments();
}

double frechet_distance(const FeatureMoments& a, const FeatureMoments& b) {
  const torch::InferenceMode guard;
  const std::int64_t d = a.dimensions;
  const Tensor A = matrix(a.covariance, {d, d}), B = matrix(b.covariance, {d, d});
  // (A B)^(1/2) has the trace of (A^(1/2) B A^(1/2))^(1/2), which is symmetric: eigenvalues of symmetric matrices are
  // found to rounding, whatever the condition, and none of them is below 0 but by rounding.
  Tensor root;
  {
    const auto [values, vectors] = torch::linalg_eigh(A, "L");
    root = (vectors * values.clamp_min(0).sqrt()).matmul(vectors.t());
  }
  const Tensor product = root.matmul(B).matmul(root);
  const double cross = torch::linalg_eigvalsh(product, "L").clamp_min(0).sqrt().sum().item<double>();
  const Tensor apart = matrix(a.mean, {d}) - matrix(b.mean, {d});
  return apart.square().sum().item<double>() + A.trace().item<double>() + B.trace().item<double>() - 2 * cross;
}

}  // namespace onestep
