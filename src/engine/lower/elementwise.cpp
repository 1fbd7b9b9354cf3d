#include <cmath>
#include <tuple>

#include "lower/operators.hpp"
#include "run/places.hpp"
#include "trace/arguments.hpp"

namespace onestep::engine {
namespace {

using kernels::Activation;

/// Dimensions that may be the channels.
std::vector<std::size_t> channel_candidates(std::size_t rank) {
  if (rank >= 3) return {1, rank - 1};
  return {rank - 1};
}

/// The candidates, the one as which the value lies in memory first.
std::vector<std::size_t> ordered_candidates(const Blueprint& blueprint, ValueId value) {
  auto candidates = channel_candidates(blueprint.sizes(value).size());
  if (candidates.size() == 2 && !blueprint.is_rows(value, candidates[0])) std::swap(candidates[0], candidates[1]);
  return candidates;
}

/// The channels' dimension as the value lies in memory.
std::size_t channel_of(const Blueprint& blueprint, ValueId value) {
  const std::size_t rank = blueprint.sizes(value).size();
  for (const std::size_t channel : channel_candidates(rank)) {
    if (blueprint.is_rows(value, channel)) return channel;
  }
  return usual_channel(rank);
}

/// An argument of an elementwise operation that is the same for all pixels: a number, or one a channel. `sizes`: of the
/// operation's result.
std::optional<Channels> channels_at(Blueprint& blueprint, const Operation& operation, std::size_t i,
                                    std::size_t channel, const std::vector<std::int64_t>& sizes) {
  const std::int64_t count = sizes[channel];
  const auto value = tensor_at(operation, i);
  if (!value) {
    const torch::IValue& number = other_at(operation, i);
    if (!number.isScalar()) return std::nullopt;
    return filled(count, number.toScalar().toDouble());
  }
  const Value& given = blueprint.trace().values[*value];
  if (given.source == Source::sample || given.sizes.size() > sizes.size()) return std::nullopt;
  const std::size_t missing = sizes.size() - given.sizes.size();
  for (std::size_t d = 0; d < given.sizes.size(); ++d) {
    if (given.sizes[d] != 1 && (d + missing != channel || given.sizes[d] != count)) return std::nullopt;
  }
  return blueprint.known_numbers(*value, [count](const torch::Tensor& all) { return all.reshape(-1).expand(count); });
}

/// An argument that does not depend on x as rows of its own, a number for each of the result's: a transformer's
/// positions, a map of a condition.
std::optional<Rows> known_rows(Blueprint& blueprint, const Operation& operation, std::size_t i, std::size_t channel,
                               const std::vector<std::int64_t>& sizes) {
  const auto value = tensor_at(operation, i);
  if (!value) return std::nullopt;
  const Value& known = blueprint.trace().values[*value];
  if (known.source == Source::sample) return std::nullopt;
  // Conditions are kept for many samples: not those that are much larger here than they are.
  const bool fits = known.type == torch::kFloat32 && element_count(known.sizes) == element_count(sizes);
  if (known.source == Source::condition && !fits) return std::nullopt;
  return as_rows(blueprint.place_of_known(*value, sizes, channel), channel);
}

/// result = activation(multiplier * x + addend + residual_scale * residual), a step of its own.
void affine(Blueprint& blueprint, ValueId result, ValueId x, std::size_t channel, Channels multiplier,
            const Channels& addend, std::optional<Rows> residual = std::nullopt, float residual_scale = 1,
            const Activation& activation = {}) {
  const float scale = blueprint.lowered(x).scale;
  if (scale != 1) multiplier = times(multiplier, filled(blueprint.sizes(x)[channel], scale), blueprint.conditions());
  const Rows input = blueprint.unscaled_rows_of(x, channel);
  const View output = blueprint.new_value(result, channel);
  blueprint.define(
      result, output,
      AffineDraft{
          {input, *as_rows(output, channel), {}, {}, residual, residual_scale, activation}, multiplier, addend});
}

/// result = x * factor.
void multiply_channels(Blueprint& blueprint, ValueId result, ValueId x, std::size_t channel, const Channels& factor) {
  const auto take_in = [&](Draft& draft) { return multiply_in(draft, factor, blueprint.conditions()); };
  if (blueprint.extend(x, result, channel, take_in)) return;
  if (const auto number = uniform(factor)) {
    Lowered& lowered = blueprint.lowered(result);
    lowered = blueprint.lowered(x);
    lowered.producer.reset();
    lowered.scale *= *number;
    return;
  }
  affine(blueprint, result, x, channel, factor, filled(blueprint.sizes(x)[channel], 0));
}

/// result = x + addend.
void add_channels(Blueprint& blueprint, ValueId result, ValueId x, std::size_t channel, const Channels& addend) {
  const auto take_in = [&](Draft& draft) { return add_in(draft, addend, blueprint.conditions()); };
  if (blueprint.extend(x, result, channel, take_in)) return;
  affine(blueprint, result, x, channel, filled(blueprint.sizes(x)[channel], 1), addend);
}

/// result = factor * x + addend.
void scale_and_shift(Blueprint& blueprint, ValueId result, ValueId x, std::size_t channel, const Channels& factor,
                     const Channels& addend) {
  const auto take_in = [&](Draft& draft) {
    return multiply_in(draft, factor, blueprint.conditions()) && add_in(draft, addend, blueprint.conditions());
  };
  if (!blueprint.extend(x, result, channel, take_in)) affine(blueprint, result, x, channel, factor, addend);
}

/// result = a * b.
bool multiply_rows(Blueprint& blueprint, ValueId result, std::size_t channel, const Rows& a, const Rows& b) {
  const View output = blueprint.new_value(result, channel);
  blueprint.define(result, output, elementwise_product_step({a, b, *as_rows(output, channel)}));
  return true;
}

bool multiply_values(Blueprint& blueprint, ValueId result, ValueId a, ValueId b) {
  const auto& sizes = blueprint.sizes(result);
  if (blueprint.sizes(a) != sizes || blueprint.sizes(b) != sizes) return false;
  const std::size_t channel = channel_of(blueprint, a);
  const Rows first = blueprint.rows_of(a, channel);
  return multiply_rows(blueprint, result, channel, first, blueprint.rows_of(b, channel));
}

/// result = alpha * a + beta * b, part of the one that is computed last if it can be.
bool add_values(Blueprint& blueprint, ValueId result, ValueId a, double alpha, ValueId b, double beta) {
  const auto& sizes = blueprint.sizes(result);
  if (blueprint.sizes(a) != sizes || blueprint.sizes(b) != sizes) return false;
  for (const auto& [base, factor, other, weight] : {std::tuple(a, alpha, b, beta), std::tuple(b, beta, a, alpha)}) {
    const Lowered& added = blueprint.lowered(other);
    if (a == b || added.lens || std::abs(factor) < 1e-3) continue;  // by which the other is divided
    for (const std::size_t channel : channel_candidates(sizes.size())) {
      const auto take_in = [&, &base = base, &factor = factor, &other = other, &weight = weight](Draft& draft) {
        return blueprint.is_rows(other, channel) && blueprint.known_before(other, base) &&
               add_residual_in(draft, *as_rows(added.view, channel),
                               static_cast<float>(added.scale * weight / factor)) &&
               (factor == 1 || multiply_in(draft, filled(sizes[channel], factor), blueprint.conditions()));
      };
      if (blueprint.extend(base, result, channel, take_in)) return true;
    }
  }
  const std::size_t channel = channel_of(blueprint, a);
  const float scale = blueprint.lowered(b).scale;
  const Rows residual = blueprint.unscaled_rows_of(b, channel);
  affine(blueprint, result, a, channel, filled(sizes[channel], alpha), filled(sizes[channel], 0), residual,
         static_cast<float>(beta * scale));
  return true;
}

}  // namespace

bool activate(Blueprint& blueprint, const Operation& operation, const Activation& activation) {
  const auto x = sample_at(blueprint.trace(), operation, 0);
  if (!x) return false;
  const ValueId result = operation.results[0];
  const auto take_in = [&](Draft& draft) { return activate_in(draft, activation); };
  for (const std::size_t channel : channel_candidates(blueprint.sizes(*x).size())) {
    if (blueprint.extend(*x, result, channel, take_in)) return true;
  }
  const std::size_t channel = channel_of(blueprint, *x);
  const std::int64_t count = blueprint.sizes(*x)[channel];
  affine(blueprint, result, *x, channel, filled(count, 1), filled(count, 0), std::nullopt, 1, activation);
  return true;
}

bool clamp(Blueprint& blueprint, const Operation& operation) {
  Activation activation{Activation::clamp};
  for (const auto& [i, bound] : {std::pair(1, &activation.low), std::pair(2, &activation.high)}) {
    if (tensor_at(operation, i)) return false;
    if (other_at(operation, i).isScalar()) *bound = other_at(operation, i).toScalar().to<float>();
  }
  return activation.low <= activation.high && activate(blueprint, operation, activation);
}

bool normalize_batches(Blueprint& blueprint, const Operation& operation) {
  const Trace& trace = blueprint.trace();
  const auto x = sample_at(trace, operation, 0);
  const auto weight = weight_at(trace, operation, 1), bias = weight_at(trace, operation, 2),
             mean = weight_at(trace, operation, 3), variance = weight_at(trace, operation, 4);
  if (!x || !weight || !bias || !mean || !variance || !mean->defined() || other_at(operation, 5).toBool()) return false;
  torch::Tensor factor = (variance->to(torch::kFloat64) + other_at(operation, 7).toDouble()).rsqrt();
  if (weight->defined()) factor = factor * *weight;
  torch::Tensor addend = -factor * *mean;
  if (bias->defined()) addend = addend + *bias;
  scale_and_shift(blueprint, operation.results[0], *x, 1, {factor.to(torch::kFloat32)}, {addend.to(torch::kFloat32)});
  return true;
}

bool multiply(Blueprint& blueprint, const Operation& operation) {
  const ValueId result = operation.results[0];
  const auto& sizes = blueprint.sizes(result);
  const auto a = sample_at(blueprint.trace(), operation, 0), b = sample_at(blueprint.trace(), operation, 1);
  if (a && b) return multiply_values(blueprint, result, *a, *b);
  const auto x = a ? a : b;
  if (!x || blueprint.sizes(*x) != sizes) return false;
  for (const std::size_t channel : ordered_candidates(blueprint, *x)) {
    const auto factor = channels_at(blueprint, operation, a ? 1 : 0, channel, sizes);
    if (!factor) continue;
    multiply_channels(blueprint, result, *x, channel, *factor);
    return true;
  }
  const std::size_t channel = channel_of(blueprint, *x);
  const auto factors = known_rows(blueprint, operation, a ? 1 : 0, channel, sizes);
  return factors && multiply_rows(blueprint, result, channel, blueprint.rows_of(*x, channel), *factors);
}

bool divide(Blueprint& blueprint, const Operation& operation) {
  const auto x = sample_at(blueprint.trace(), operation, 0);
  const ValueId result = operation.results[0];
  const auto& sizes = blueprint.sizes(result);
  if (!x || operation.arguments.size() != 2 || blueprint.sizes(*x) != sizes) return false;
  for (const std::size_t channel : ordered_candidates(blueprint, *x)) {
    const auto divisor = channels_at(blueprint, operation, 1, channel, sizes);
    if (!divisor) continue;
    const Channels factor = over(filled(sizes[channel], 1), *divisor, blueprint.conditions());
    multiply_channels(blueprint, result, *x, channel, factor);
    return true;
  }
  return false;
}

bool negate(Blueprint& blueprint, const Operation& operation) {
  const auto x = sample_at(blueprint.trace(), operation, 0);
  if (!x) return false;
  const std::size_t channel = channel_of(blueprint, *x);
  multiply_channels(blueprint, operation.results[0], *x, channel, filled(blueprint.sizes(*x)[channel], -1));
  return true;
}

bool add(Blueprint& blueprint, const Operation& operation, double sign) {
  const ValueId result = operation.results[0];
  const auto& sizes = blueprint.sizes(result);
  const auto a = sample_at(blueprint.trace(), operation, 0), b = sample_at(blueprint.trace(), operation, 1);
  if (!other_at(operation, 2).isScalar()) return false;
  const double alpha = sign * other_at(operation, 2).toScalar().toDouble();
  if (a && b) return add_values(blueprint, result, *a, 1, *b, alpha);
  const auto x = a ? a : b;
  if (!x || blueprint.sizes(*x) != sizes) return false;
  for (const std::size_t channel : ordered_candidates(blueprint, *x)) {
    auto addend = channels_at(blueprint, operation, a ? 1 : 0, channel, sizes);
    if (!addend) continue;
    if (a) {
      if (alpha != 1) addend = times(*addend, filled(sizes[channel], alpha), blueprint.conditions());
      add_channels(blueprint, result, *x, channel, *addend);
    } else {  // addend + alpha * x
      affine(blueprint, result, *x, channel, filled(sizes[channel], alpha), *addend);
    }
    return true;
  }
  const std::size_t channel = channel_of(blueprint, *x);
  const auto addends = known_rows(blueprint, operation, a ? 1 : 0, channel, sizes);
  if (!addends) return false;
  affine(blueprint, result, *x, channel, filled(sizes[channel], a ? 1 : alpha), filled(sizes[channel], 0), *addends,
         a ? static_cast<float>(alpha) : 1);
  return true;
}

bool add_product(Blueprint& blueprint, const Operation& operation) {
  const ValueId result = operation.results[0];
  const auto& sizes = blueprint.sizes(result);
  const bool first = sample_at(blueprint.trace(), operation, 1).has_value();
  const auto x = sample_at(blueprint.trace(), operation, first ? 1 : 2);
  if (!x || blueprint.sizes(*x) != sizes) return false;
  for (const std::size_t channel : ordered_candidates(blueprint, *x)) {
    const auto addend = channels_at(blueprint, operation, 0, channel, sizes);
    const auto factor = channels_at(blueprint, operation, first ? 2 : 1, channel, sizes);
    if (!addend || !factor) continue;
    const torch::IValue& value = other_at(operation, 3);
    const double scale = value.isScalar() ? value.toScalar().toDouble() : 1;
    const Channels all = times(*factor, filled(sizes[channel], scale), blueprint.conditions());
    scale_and_shift(blueprint, result, *x, channel, all, *addend);
    return true;
  }
  return false;
}

bool interpolate(Blueprint& blueprint, const Operation& operation) {
  const auto a = sample_at(blueprint.trace(), operation, 0), b = sample_at(blueprint.trace(), operation, 1);
  if (!a || !b || !other_at(operation, 2).isScalar()) return false;
  const double weight = other_at(operation, 2).toScalar().toDouble();
  return add_values(blueprint, operation.results[0], *a, 1 - weight, *b, weight);
}

}  // namespace onestep::engine
