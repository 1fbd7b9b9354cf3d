#include <cmath>
#include <limits>

#include "lower/operators.hpp"
#include "run/places.hpp"
#include "trace/arguments.hpp"
#include "trace/spellings.hpp"

namespace onestep::engine {
namespace {

/// As `normalization` says, of dimension `channel`. A weight or a bias that is undefined is 1 or 0; nothing: it is no
/// constant, and libtorch is to do it.
bool normalize(Blueprint& blueprint, const Operation& operation, std::size_t channel, Normalization normalization,
               const std::optional<torch::Tensor>& weight, const std::optional<torch::Tensor>& bias) {
  if (!weight || !bias) return false;
  const ValueId x = *sample_at(blueprint.trace(), operation, 0), result = operation.results[0];
  const std::int64_t channels = blueprint.sizes(x)[channel];
  normalization.input = blueprint.rows_of(x, channel);
  const View output = blueprint.new_value(result, channel);
  normalization.output = *as_rows(output, channel);
  blueprint.define(
      result, output,
      NormalizationDraft{std::move(normalization), weight->defined() ? Channels{*weight} : filled(channels, 1),
                         bias->defined() ? Channels{*bias} : filled(channels, 0)});
  return true;
}

}  // namespace

bool normalize_groups(Blueprint& blueprint, const Operation& operation) {
  const Trace& trace = blueprint.trace();
  const auto x = image_at(trace, operation, 0);
  if (!x) return false;
  Normalization normalization;
  normalization.groups = other_at(operation, 1).toInt();
  normalization.epsilon = other_at(operation, 4).toDouble();
  return normalize(blueprint, operation, 1, std::move(normalization), weight_at(trace, operation, 2),
                   weight_at(trace, operation, 3));
}

bool normalize_instances(Blueprint& blueprint, const Operation& operation) {
  const Trace& trace = blueprint.trace();
  const auto x = image_at(trace, operation, 0);
  if (!other_at(operation, 5).toBool()) return normalize_batches(blueprint, operation);
  if (!x) return false;
  Normalization normalization;
  normalization.groups = blueprint.sizes(*x)[1];
  normalization.epsilon = other_at(operation, 7).toDouble();
  return normalize(blueprint, operation, 1, std::move(normalization), weight_at(trace, operation, 1),
                   weight_at(trace, operation, 2));
}

bool normalize_rows(Blueprint& blueprint, const Operation& operation, Moments moments) {
  const Trace& trace = blueprint.trace();
  const auto x = sample_at(trace, operation, 0);
  if (!x || blueprint.sizes(*x).size() < 2 || other_at(operation, 1).toIntVector().size() != 1) return false;
  const bool centered = moments == Moments::row;  // and only then there is a bias
  const torch::IValue& epsilon = other_at(operation, centered ? 4 : 3);
  Normalization normalization;
  normalization.moments = moments;
  normalization.epsilon = epsilon.isNone() ? std::numeric_limits<float>::epsilon() : epsilon.toDouble();
  return normalize(blueprint, operation, blueprint.sizes(*x).size() - 1, std::move(normalization),
                   weight_at(trace, operation, 2),
                   centered ? weight_at(trace, operation, 3) : std::optional(torch::Tensor()));
}

bool divide_by_norm(Blueprint& blueprint, const Operation& operation) {
  const ValueId x = std::get<ValueId>(operation.arguments[0]);
  const NormDivision division = norm_division(operation);
  const auto channels = blueprint.sizes(x)[division.dimension];
  // The norm is the root of the mean square, times that of the channels.
  const double per_deviation = division.scale * std::sqrt(static_cast<double>(channels));
  Normalization normalization;
  normalization.moments = Moments::row_square;
  normalization.floor = division.floor;
  const bool of_variance = division.floor == kernels::Floor::variance;
  normalization.epsilon = division.epsilon / (of_variance ? per_deviation * per_deviation : per_deviation);
  const torch::Tensor weight = filled(channels, 1 / per_deviation).known;
  return normalize(blueprint, operation, division.dimension, std::move(normalization), weight, torch::Tensor());
}

}  // namespace onestep::engine
