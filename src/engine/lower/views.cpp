#include <set>

#include "lower/operators.hpp"
#include "run/places.hpp"
#include "trace/arguments.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

bool try_view(Blueprint& blueprint, const Operation& operation, ValueId x) {
  const Lowered& from = blueprint.lowered(x);
  const auto sketch = torch::TensorOptions(torch::kMeta).dtype(torch::kFloat32);
  const Tensor source = torch::empty_strided(from.view.sizes, from.view.strides, sketch);
  std::vector<Tensor> results;
  try {
    results = call(operation, [&](ValueId) { return source; });
  } catch (const c10::Error&) {
    return false;
  }
  for (const Tensor& result : results) {
    if (!result.is_alias_of(source)) return false;
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    Lowered lowered;
    lowered.view = {from.view.buffer, from.view.offset + results[i].storage_offset(), results[i].sizes().vec(),
                    results[i].strides().vec()};
    lowered.scale = from.scale;
    blueprint.lowered(operation.results[i]) = lowered;
  }
  if (results.size() == 1) blueprint.keep_producer(x, operation.results[0]);
  return true;
}

/// Along any dimension, constants and conditions among the parts: copies.
bool copy_parts(Blueprint& blueprint, const Operation& operation) {
  const auto* parts = std::get_if<std::vector<ValueId>>(&operation.arguments[0]);
  const ValueId result = operation.results[0];
  const std::size_t rank = blueprint.sizes(result).size();
  const std::size_t dimension = dimension_at(operation, 1, rank);
  std::size_t channel = usual_channel(rank);
  if (!parts) return false;
  for (const ValueId part : *parts) {
    const Value& value = blueprint.trace().values[part];
    if (value.type != torch::kFloat32 || value.sizes.size() != rank) return false;
    // The whole has the order of its parts.
    if (value.source == Source::sample) channel = closest_dimension(blueprint.lowered(part).view).value_or(channel);
  }
  const View whole = blueprint.new_view(blueprint.sizes(result), channel);
  View there = whole;
  for (const ValueId part : *parts) {
    there.sizes = blueprint.sizes(part);
    const bool is_known = blueprint.trace().values[part].source != Source::sample;
    const View from = is_known ? blueprint.place_of_known(part, there.sizes, channel) : blueprint.place(part);
    blueprint.push(copy_step({from, there}));
    there.offset += there.sizes[dimension] * whole.strides[dimension];
  }
  blueprint.lowered(result) = Lowered{whole};
  return true;
}

}  // namespace

bool concatenate(Blueprint& blueprint, const Operation& operation) {
  if (!is_channel_concatenation(blueprint.trace(), operation)) return copy_parts(blueprint, operation);
  const ValueId result = operation.results[0];
  std::int64_t first = 0;
  for (const ValueId part : std::get<std::vector<ValueId>>(operation.arguments[0])) {
    const View there = blueprint.place_of_part(result, first, part);
    first += there.sizes[1];
    const auto lies_there = [&](const View& view) {
      const auto rows = as_rows(view, 1);
      return rows && same_place(*rows, *as_rows(there, 1));
    };
    Lowered& lowered = blueprint.lowered(part);
    if (lowered.lens || lowered.scale != 1 || !lies_there(lowered.view)) {
      const View from = blueprint.place(part);  // which may be made in its place now
      if (!lies_there(from)) blueprint.push(copy_step({from, there}));
    }
    lowered.producer.reset();
  }
  blueprint.lowered(result) = Lowered{blueprint.place_of_part(result, 0, result)};
  return true;
}

bool fill(Blueprint& blueprint, const Operation& operation) {
  const ValueId result = operation.results[0];
  const auto& sizes = blueprint.sizes(result);
  const auto number = call(operation, [&](ValueId value) { return torch::zeros(blueprint.sizes(value)); });
  const View view = blueprint.new_view(sizes, usual_channel(sizes.size()));
  const Row numbers = as_row({number[0].flatten()}, number[0].numel(), blueprint.conditions());
  blueprint.define(result, view, known_step(view, numbers));
  return true;
}

bool pass_on(Blueprint& blueprint, const Operation& operation) {
  const auto x = sample_at(blueprint.trace(), operation, 0);
  if (!x) return false;
  const ValueId result = operation.results[0];
  blueprint.lowered(result) = blueprint.lowered(*x);
  blueprint.keep_producer(*x, result);
  return true;
}

bool view(Blueprint& blueprint, const Operation& operation) {
  static const std::set<std::string> reshapes{"aten::reshape", "aten::flatten", "aten::view", "aten::unflatten"};
  const auto given = tensors_of(operation);
  if (given.size() != 1 || (!operation.is_view && !reshapes.contains(operation.name))) return false;
  const ValueId x = given[0];
  Lowered& lowered = blueprint.lowered(x);
  if (lowered.lens) blueprint.place(x);
  if (try_view(blueprint, operation, x)) return true;
  // Not to be had without a copy: into C order, of which every view can be had.
  const View before = blueprint.place(x);
  lowered.view = blueprint.copied(before, before.sizes.size() - 1);
  return try_view(blueprint, operation, x);
}

}  // namespace onestep::engine
