#include "lower/draft.hpp"

namespace onestep::engine {
namespace {

using kernels::Activation;

/// Calls visit(step) with the description of the step, whichever it is.
template <typename AnyDraft, typename Visit>
decltype(auto) visit_step(AnyDraft& draft, Visit visit) {
  if (auto* convolution = std::get_if<ConvolutionDraft>(&draft)) return visit(convolution->convolution);
  if (auto* normalization = std::get_if<NormalizationDraft>(&draft)) return visit(normalization->normalization);
  return visit(std::get<AffineDraft>(draft).affine);
}

Activation& activation_of(Draft& draft) {
  return visit_step(draft, [](auto& step) -> Activation& { return step.activation; });
}

}  // namespace

Rows& output_of(Draft& draft) {
  return visit_step(draft, [](auto& step) -> Rows& { return step.output; });
}

std::vector<std::size_t> written_by(const Draft& draft) {
  if (const auto* step = std::get_if<std::unique_ptr<Step>>(&draft)) return (*step)->writes();
  return {visit_step(draft, [](const auto& step) { return step.output.buffer; })};
}

bool multiply_in(Draft& draft, const Channels& factor, Conditions& conditions) {
  if (activation_of(draft).kind != Activation::none) return false;
  if (auto* made = std::get_if<NormalizationDraft>(&draft)) {
    made->multiplier = times(made->multiplier, factor, conditions);
    made->addend = times(made->addend, factor, conditions);
    return true;
  }
  const auto number = uniform(factor);
  if (auto* made = std::get_if<AffineDraft>(&draft)) {
    if (made->affine.residual && !number) return false;
    made->multiplier = times(made->multiplier, factor, conditions);
    made->addend = times(made->addend, factor, conditions);
    if (number) made->affine.residual_scale *= *number;
    return true;
  }
  auto& made = std::get<ConvolutionDraft>(draft);
  if (!factor.known.defined() || (made.convolution.residual && !number)) return false;
  made.filters = made.filters * factor.known.reshape({-1, 1, 1});
  if (made.addend) made.addend = times(*made.addend, factor, conditions);
  if (number) made.convolution.residual_scale *= *number;
  return true;
}

bool add_in(Draft& draft, const Channels& addend, Conditions& conditions) {
  if (activation_of(draft).kind != Activation::none) return false;
  if (auto* convolution = std::get_if<ConvolutionDraft>(&draft)) {
    convolution->addend = convolution->addend ? plus(*convolution->addend, addend, conditions) : addend;
  } else if (auto* normalization = std::get_if<NormalizationDraft>(&draft)) {
    normalization->addend = plus(normalization->addend, addend, conditions);
  } else {
    auto& affine = std::get<AffineDraft>(draft);
    affine.addend = plus(affine.addend, addend, conditions);
  }
  return true;
}

bool add_residual_in(Draft& draft, const Rows& residual, float scale) {
  if (activation_of(draft).kind != Activation::none) return false;
  const auto add = [&](auto& step) {
    if (step.residual) return false;
    step.residual = residual;
    step.residual_scale = scale;
    return true;
  };
  if (auto* convolution = std::get_if<ConvolutionDraft>(&draft)) return add(convolution->convolution);
  if (auto* affine = std::get_if<AffineDraft>(&draft)) return add(affine->affine);
  return false;
}

bool activate_in(Draft& draft, const Activation& activation) {
  if (activation_of(draft).kind != Activation::none) return false;
  activation_of(draft) = activation;
  return true;
}

void close(Draft& draft, Conditions& conditions) {
  const auto scale_and_shift = [&](const auto& channels, auto& step) {
    step.multiplier = as_row(channels.multiplier, step.output.channels, conditions);
    step.addend = as_row(channels.addend, step.output.channels, conditions);
  };
  if (auto* made = std::get_if<ConvolutionDraft>(&draft)) {
    Convolution& step = made->convolution;
    if (made->addend) step.addend = as_row(*made->addend, step.output.channels, conditions);
  } else if (auto* normalization = std::get_if<NormalizationDraft>(&draft)) {
    scale_and_shift(*normalization, normalization->normalization);
  } else if (auto* affine = std::get_if<AffineDraft>(&draft)) {
    scale_and_shift(*affine, affine->affine);
  }
}

std::unique_ptr<Step> made_of(Draft draft, std::optional<kernels::bf16::Unit> unit, PackedWeights& packed_weights) {
  if (auto* step = std::get_if<std::unique_ptr<Step>>(&draft)) return std::move(*step);
  if (auto* normalization = std::get_if<NormalizationDraft>(&draft))
    return normalization_step(std::move(normalization->normalization));
  if (auto* affine = std::get_if<AffineDraft>(&draft)) return affine_step(std::move(affine->affine));
  auto& made = std::get<ConvolutionDraft>(draft);
  const torch::Tensor filters = made.filters.contiguous();
  made.convolution.weights.assign(filters.const_data_ptr<float>(), filters.const_data_ptr<float>() + filters.numel());
  return convolution_step(std::move(made.convolution), made.image, unit, packed_weights);
}

}  // namespace onestep::engine
