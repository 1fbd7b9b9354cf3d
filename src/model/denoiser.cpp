#include "onestep/tensor/denoiser.hpp"

#include <cmath>

#include "noise_input.hpp"
#include "preconditioning.hpp"
#include "require.hpp"
#include "shape_text.hpp"

namespace onestep {

using torch::Tensor;

namespace {

/// [N, ...sizes]
std::vector<Size> rows_of(const std::vector<Size>& sizes) {
  std::vector<Size> shape{{1, "N"}};
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  return shape;
}

Port port_of(const ConditionInfo& condition, const ModelInfo& info) {
  if (condition.kind != ConditionKind::label) return {condition.name, ElementType::float32, rows_of(condition.sizes)};
  if (info.one_hot_labels) return {condition.name, ElementType::float32, rows_of({{info.label_count}})};
  Port port{condition.name, ElementType::int64, rows_of({})};
  if (condition.map) port.map = rows_of({info.sample.sizes.begin() + 1, info.sample.sizes.end()});
  return port;
}

void require_labels(const Tensor& label, const ModelInfo& info) {
  const bool map = find_condition(info, ConditionKind::label)->map;
  const std::string rule = "; " + info.name + " takes int64 [N], one in [0, " + std::to_string(info.label_count - 1) +
                           "] a sample" + (map ? ", or [N, H, W], one a pixel" : "") +
                           (info.null_label ? ", or " + std::to_string(*info.null_label) + ", which is none" : "");
  if (!label.defined()) refuse("no label is given" + rule);
  if (label.scalar_type() != torch::kInt64 || (label.dim() != 1 && !(map && label.dim() == 3)) ||
      !label.device().is_cpu()) {
    refuse(std::string("the label is ") + c10::toString(label.scalar_type()) + " " + shape_text(label.sizes()) +
           " on " + label.device().str() + rule + ", on the CPU");
  }
  const Tensor values = label.flatten().contiguous();
  const auto* begin = values.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    if ((begin[i] < 0 || begin[i] >= info.label_count) && begin[i] != info.null_label)
      refuse("label[" + std::to_string(i) + "] = " + std::to_string(begin[i]) + rule);
  }
}

/// Rows of `without` before those of `with`.
Tensor both(const Tensor& without, const Tensor& with) { return torch::cat({without, with}); }

std::string mask_name(const ConditionInfo& text) { return text.name + "_mask"; }

/// All of the text, unless a mask says otherwise.
Tensor mask_of(const ConditionInfo& text, const Condition& condition, std::int64_t rows) {
  const auto given = condition.others.find(mask_name(text));
  return given != condition.others.end() ? given->second : torch::ones({rows, text.sizes[0].number}, torch::kBool);
}

void require_level(const char* name, double level) {
  if (!(level >= 0 && std::isfinite(level)))
    refuse(std::string(name) + " = " + std::to_string(level) + " must be a finite number of 0 or more");
}

/// The null label, which is no column, becomes a row of zeros.
Tensor as_columns(const Tensor& label, std::int64_t count) {
  return (label.unsqueeze(1) == torch::arange(count, label.options())).to(torch::kFloat32);
}

}  // namespace

Signature denoiser_signature(const ModelInfo& info) {
  Signature signature;
  const auto add = [&](const char* name, const std::vector<Size>& sizes) {
    signature.inputs.push_back({name, ElementType::float32, rows_of(sizes)});
  };
  add("x", info.sample.sizes);
  add("noise", {});
  if (info.role == Role::flow_map) add("target", {});
  for (const ConditionInfo& condition : info.conditions) {
    signature.inputs.push_back(port_of(condition, info));
    if (condition.mask)
      signature.inputs.push_back({mask_name(condition), ElementType::boolean, rows_of({condition.sizes[0]})});
  }
  signature.output = {"output", ElementType::float32, rows_of(info.sample.sizes)};
  signature.multiples = info.sample.multiples;
  return signature;
}

Condition trial_condition(const ModelInfo& info, std::int64_t count) {
  require_whole("count", count, 1, std::int64_t{1} << 31);
  Condition condition;
  if (info.label_count > 0) condition.label = torch::arange(count) % info.label_count;
  condition.guidance = default_guidance(info);
  for (const ConditionInfo& other : info.conditions) {
    if (other.kind == ConditionKind::label || other.kind == ConditionKind::scalar) continue;
    std::vector<std::int64_t> sizes = shape_at(other.sizes, default_sizes(info.sample));
    sizes.insert(sizes.begin(), count);
    condition.others[other.name] = torch::linspace(-1, 1, c10::multiply_integers(sizes)).reshape(sizes);
    if (other.mask) condition.others[mask_name(other)] = torch::ones({count, sizes[1]}, torch::kBool);
  }
  return condition;
}

Denoiser::Denoiser(Network& network, const ModelInfo& info, const Condition& condition)
    : network_(network), info_(info), condition_(condition) {
  if (info.label_count > 0) require_labels(condition.label, info);
  if (!std::isfinite(condition.guidance))
    refuse("guidance = " + std::to_string(condition.guidance) + " must be finite");
  if (!calls_twice(info, condition.guidance)) return;
  if (info.label_count > 0) {
    if (!info.null_label) refuse("guidance needs a null label or a guidance input; " + info.name + " has neither");
    condition_.label = both(torch::full_like(condition.label, *info.null_label), condition.label);
  }
  for (auto& [name, value] : condition_.others) {
    const auto null = condition.null_others.find(name);
    value = both(null == condition.null_others.end() ? value : null->second, value);
  }
}

Tensor Denoiser::operator()(const Tensor& x, double sigma, double target) const {
  if (!x.defined() || x.dim() < 1 || x.scalar_type() != torch::kFloat32) refuse("x must be float32 [N, ...]");
  require_level("sigma", sigma);
  require_level("target", target);
  const Preconditioning c = precondition(info_, sigma);
  const Tensor scaled = c.in * x;
  Tensor F;
  if (calls_twice(info_, condition_.guidance)) {
    const Tensor output = network_.forward(network_input(info_, both(scaled, scaled), sigma, target, condition_));
    const Tensor without = output.narrow(0, 0, x.size(0));
    F = without + condition_.guidance * (output.narrow(0, x.size(0), x.size(0)) - without);
  } else {
    F = network_.forward(network_input(info_, scaled, sigma, target, condition_));
  }
  const Tensor denoised = c.skip * x + c.out * F;
  return info_.clip_denoised ? denoised.clamp(info_.data.range_low, info_.data.range_high) : denoised;
}

NetworkInput network_input(const ModelInfo& info, const Tensor& x, double sigma, double target,
                           const Condition& condition) {
  const auto rows = [&](double value) { return torch::full({x.size(0)}, value, torch::kFloat32); };
  NetworkInput input{x, {rows(encode_noise(info, sigma))}};
  if (info.role == Role::flow_map) input.conditions.push_back(rows(encode_noise(info, target)));
  for (const ConditionInfo& wanted : info.conditions) {
    const auto given = condition.others.find(wanted.name);
    if (wanted.kind == ConditionKind::label) {
      input.conditions.push_back(info.one_hot_labels ? as_columns(condition.label, info.label_count) : condition.label);
    } else if (&wanted == guidance_input(info)) {
      input.conditions.push_back(rows(condition.guidance));
    } else if (given != condition.others.end()) {
      input.conditions.push_back(given->second);
      if (wanted.mask) input.conditions.push_back(mask_of(wanted, condition, x.size(0)));
    } else if (wanted.kind == ConditionKind::scalar) {
      input.conditions.push_back(rows(wanted.default_value));
    } else {
      refuse("no " + wanted.name + " is given; " + info.name + " takes float32 " + to_text(rows_of(wanted.sizes)));
    }
  }
  return input;
}

bool calls_twice(const ModelInfo& info, double guidance) { return !guidance_input(info) && guidance != 1; }

}  // namespace onestep
