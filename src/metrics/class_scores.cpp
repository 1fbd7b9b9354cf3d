#include "class_scores.hpp"

#include <cmath>

namespace onestep {

using torch::Tensor;

void ClassScores::add(const Tensor& logits) {
  const torch::InferenceMode guard;
  const Tensor log_p = logits.to(torch::kFloat64).log_softmax(1), p = log_p.exp();
  class_count_ = p.size(1);
  const Tensor negative_entropies = torch::xlogy(p, p).sum(1);
  for (std::int64_t i = 0; i < p.size(0); ++i) {
    PartSums& part = sums_[static_cast<std::size_t>(place_of(count_++) * parts)];
    if (part.count++ == 0) part.probabilities = torch::zeros({p.size(1)}, torch::kFloat64);
    part.probabilities += p[i];
    part.negative_entropy += negative_entropies[i].item<double>();
  }
}

void ClassScores::sum_over(const SumOver& sum) {
  const torch::InferenceMode guard;
  class_count_ = common_size(class_count_, sum);
  if (class_count_ == 0) return;
  for (PartSums& part : sums_) {
    if (part.count == 0) part.probabilities = torch::zeros({class_count_}, torch::kFloat64);
    std::array<double, 2> numbers{static_cast<double>(part.count), part.negative_entropy};
    sum(numbers);
    part.count = static_cast<std::int64_t>(numbers[0]);
    part.negative_entropy = numbers[1];
    sum({part.probabilities.data_ptr<double>(), static_cast<std::size_t>(class_count_)});
  }
}

Estimate ClassScores::inception_score() const {
  const torch::InferenceMode guard;
  std::vector<double> scores;
  for (const PartSums& part : sums_) {
    if (part.count == 0) continue;
    const Tensor marginal = part.probabilities / static_cast<double>(part.count);
    scores.push_back(std::exp(part.negative_entropy / static_cast<double>(part.count) -
                              torch::xlogy(marginal, marginal).sum().item<double>()));
  }
  return estimate(scores);
}

}  // namespace onestep
