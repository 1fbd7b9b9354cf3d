#include "class_scores.hpp"

#include <cmath>

namespace onestep {

using torch::Tensor;

void ClassScores::add(const Tensor& logits) {
  const torch::InferenceMode guard;
  const Tensor log_p = logits.to(torch::kFloat64).log_softmax(1), p = log_p.exp();
  const Tensor negative_entropies = torch::xlogy(p, p).sum(1);
  for (std::int64_t i = 0; i < p.size(0); ++i) {
    PartSums& part = sums_[static_cast<std::size_t>(place_of(count_++) * parts)];
    if (part.count++ == 0) part.probabilities = torch::zeros({p.size(1)}, torch::kFloat64);
    part.probabilities += p[i];
    part.negative_entropy += negative_entropies[i].item<double>();
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
