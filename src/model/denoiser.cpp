#include "onestep/tensor/denoiser.hpp"

#include "noise_input.hpp"
#include "preconditioning.hpp"

namespace onestep {

using torch::Tensor;

Condition trial_condition(const ModelInfo& info, std::int64_t count) {
  Condition condition;
  if (info.label_count > 0) condition.label = torch::arange(count) % info.label_count;
  condition.guidance = info.guidance.value_or(1);
  return condition;
}

Denoiser::Denoiser(Network& network, const ModelInfo& info, const Condition& condition)
    : network_(network), info_(info), condition_(condition) {
  if (!calls_twice(info, condition.guidance)) return;
  condition_.label = torch::cat({torch::full_like(condition.label, info.null_label.value()), condition.label});
}

Tensor Denoiser::operator()(const Tensor& x, double sigma, double target) const {
  const Preconditioning c = precondition(info_, sigma);
  const Tensor scaled = c.in * x;
  Tensor F;
  if (calls_twice(info_, condition_.guidance)) {
    const Tensor both = network_.forward(network_input(info_, torch::cat({scaled, scaled}), sigma, target, condition_));
    const Tensor without = both.narrow(0, 0, x.size(0));
    F = without + condition_.guidance * (both.narrow(0, x.size(0), x.size(0)) - without);
  } else {
    F = network_.forward(network_input(info_, scaled, sigma, target, condition_));
  }
  const Tensor denoised = c.skip * x + c.out * F;
  return info_.clip_denoised ? denoised.clamp(info_.range_low, info_.range_high) : denoised;
}

NetworkInput network_input(const ModelInfo& info, const Tensor& x, double sigma, double target,
                           const Condition& condition) {
  const auto rows = [&](double value) { return torch::full({x.size(0)}, value, torch::kFloat32); };
  NetworkInput input;
  input.x = x;
  input.noise = rows(encode_noise(info, sigma));
  if (info.role == Role::flow_map) input.target = rows(encode_noise(info, target));
  if (info.label_count > 0) {
    input.label = condition.label;
    // The null label, which is no column, becomes a row of zeros.
    if (info.one_hot_labels) {
      const Tensor columns = torch::arange(info.label_count, condition.label.options());
      input.label = (condition.label.unsqueeze(1) == columns).to(torch::kFloat32);
    }
  }
  if (info.guidance) input.guidance = rows(condition.guidance);
  return input;
}

bool calls_twice(const ModelInfo& info, double guidance) { return !info.guidance && guidance != 1; }

}  // namespace onestep
