#include "lower/operators.hpp"
#include "run/places.hpp"
#include "trace/arguments.hpp"

namespace onestep::engine {
namespace {

using Part = AttentionPattern::Part;

/// The value without a lens, complete. One that does not depend on x gets a place, close along `dimension`.
const Lowered& settled(Blueprint& blueprint, ValueId value, std::size_t dimension) {
  Lowered& lowered = blueprint.lowered(value);
  if (blueprint.trace().values[value].source != Source::sample && lowered.view.sizes.empty()) {
    lowered.view = blueprint.place_of_known(value, blueprint.sizes(value), dimension);
  }
  if (lowered.lens) blueprint.place(value);
  lowered.producer.reset();
  return lowered;
}

/// A part as [heads, rows, columns]; what it is to be multiplied with goes to `scale`. The last stride is 1 if it has
/// to be `close`.
View heads_of(Blueprint& blueprint, const std::vector<int>& heads, const Part& part, int row, int column, float& scale,
              bool close = true) {
  const Lowered& lowered = settled(blueprint, part.value, part.position(column));
  scale *= lowered.scale;
  const View& view = lowered.view;
  std::vector<int> labels = heads;
  labels.insert(labels.end(), {row, column});
  View all{view.buffer, view.offset, {}, {}};
  for (const int label : labels) {
    all.sizes.push_back(view.sizes[part.position(label)]);
    all.strides.push_back(view.strides[part.position(label)]);
  }
  View three{view.buffer,
             view.offset,
             {1, all.sizes[all.sizes.size() - 2], all.sizes.back()},
             {0, all.strides[all.strides.size() - 2], all.strides.back()}};
  bool even = !close || three.strides[2] == 1 || three.sizes[2] == 1;
  for (std::size_t i = heads.size(); i-- > 0;) {
    if (all.sizes[i] == 1) continue;
    if (three.sizes[0] == 1)
      three.strides[0] = all.strides[i];
    else
      even &= all.strides[i] == three.strides[0] * three.sizes[0];
    three.sizes[0] *= all.sizes[i];
  }
  if (even) return three;
  const View copy = blueprint.new_view(all.sizes, all.sizes.size() - 1);
  blueprint.push(copy_step({all, copy}));
  return {copy.buffer, 0, three.sizes, c_order(three.sizes)};
}

/// A new place for [heads, rows, columns] in which heads lie side by side in a row, and the same as `part` has it.
std::pair<View, View> heads_side_by_side(Blueprint& blueprint, const std::vector<int>& heads, const Part& part, int row,
                                         int column) {
  const auto& sizes = blueprint.sizes(part.value);
  const std::int64_t count = sizes[part.position(row)], columns = sizes[part.position(column)];
  const std::int64_t all = element_count(sizes) / (count * columns);
  const View place = blueprint.new_view({count, all * columns}, 1);
  View view{place.buffer, 0, sizes, std::vector<std::int64_t>(sizes.size())};
  std::int64_t stride = columns;
  for (auto label = heads.rbegin(); label != heads.rend(); ++label) {
    const std::size_t d = part.position(*label);
    view.strides[d] = stride;
    stride *= view.sizes[d];
  }
  view.strides[part.position(row)] = all * columns;
  view.strides[part.position(column)] = 1;
  return {{place.buffer, 0, {all, count, columns}, {columns, all * columns, 1}}, view};
}

}  // namespace

void attend(Blueprint& blueprint, const AttentionPattern& pattern) {
  float scale = static_cast<float>(pattern.scale), output_scale = 1;
  Attention attention;
  attention.q = heads_of(blueprint, pattern.heads, pattern.q, pattern.token, pattern.depth, scale);
  attention.k = heads_of(blueprint, pattern.heads, pattern.k, pattern.other, pattern.depth, scale);
  attention.v = heads_of(blueprint, pattern.heads, pattern.v, pattern.other, pattern.column, output_scale);
  attention.scale = scale;
  const auto [output, view] =
      heads_side_by_side(blueprint, pattern.heads, pattern.output, pattern.token, pattern.column);
  attention.output = output;
  blueprint.define(pattern.output.value, view, attention_step(attention));
  blueprint.lowered(pattern.output.value).scale = output_scale;
}

bool multiply_samples(Blueprint& blueprint, const Operation& operation) {
  const auto product = as_sample_product(blueprint.trace(), operation);
  if (!product || product->a_value == product->b_value) return false;
  Part a{product->a_value, product->a}, b{product->b_value, product->b};
  const Part result{operation.results[0], product->result};
  const auto has = [](const Part& part, int label) { return part.position(label) < part.labels.size(); };
  std::vector<int> heads, rows, columns, depths;
  for (const int label : a.labels) {
    (has(b, label) ? has(result, label) ? heads : depths : rows).push_back(label);
  }
  for (const int label : b.labels) {
    if (!has(a, label)) columns.push_back(label);
  }
  if (rows.size() != 1 || columns.size() != 1 || depths.size() != 1 || !has(result, rows[0]) ||
      !has(result, columns[0]) || result.labels.size() != heads.size() + 2) {
    return false;
  }
  int row = rows[0], column = columns[0];
  const int depth = depths[0];
  // Rows are read along the depth.
  float scale = static_cast<float>(product->scale);
  const auto lies_along = [&](const Part& part) {
    const std::size_t along = part.position(depth);
    return settled(blueprint, part.value, along).view.strides[along] == 1;
  };
  if (!lies_along(a) && lies_along(b)) {
    std::swap(a, b);
    std::swap(row, column);
  }
  MatrixProduct matrices;
  matrices.a = heads_of(blueprint, heads, a, row, depth, scale);
  matrices.b = heads_of(blueprint, heads, b, depth, column, scale, /*close=*/false);
  const auto [output, view] = heads_side_by_side(blueprint, heads, result, row, column);
  matrices.output = output;
  blueprint.define(result.value, view, matrix_product_step(matrices));
  blueprint.lowered(result.value).scale = scale;
  return true;
}

bool softmax(Blueprint& blueprint, const Operation& operation) {
  const auto x = sample_at(blueprint.trace(), operation, 0);
  if (!x || !other_at(operation, 1).isInt()) return false;
  View input = blueprint.place(*x);
  const std::size_t dimension = dimension_at(operation, 1, input.sizes.size());
  const auto closest = closest_dimension(input);
  const std::size_t channel = closest.value_or(dimension);
  if (!closest && input.sizes[channel] > 1) input = blueprint.copied(input, channel);
  const View output = blueprint.new_view(input.sizes, channel);
  blueprint.define(operation.results[0], output, softmax_step({input, output, dimension, channel}));
  return true;
}

bool multiply_matrix(Blueprint& blueprint, const Operation& operation, const MatrixArguments& at) {
  const auto x = sample_at(blueprint.trace(), operation, at.x);
  const auto weight = weight_at(blueprint.trace(), operation, at.weight);
  const auto bias = at.bias ? weight_at(blueprint.trace(), operation, *at.bias) : std::optional(torch::Tensor());
  if (!x || !weight || !weight->defined() || weight->dim() != 2 || !bias || blueprint.sizes(*x).size() < 2)
    return false;
  if (operation.name == "aten::addmm" &&
      (other_at(operation, 3).toScalar().toDouble() != 1 || other_at(operation, 4).toScalar().toDouble() != 1)) {
    return false;
  }
  const ValueId result = operation.results[0];
  const std::size_t channel = blueprint.sizes(*x).size() - 1;
  ConvolutionDraft draft;
  draft.convolution.input = blueprint.rows_of(*x, channel);
  const View output = blueprint.new_value(result, channel);
  draft.convolution.output = *as_rows(output, channel);
  draft.filters = (at.by_column ? *weight : weight->t()).unsqueeze(2);
  draft.convolution.description = "linear";
  if (bias->defined())
    draft.addend = Channels{bias->reshape(-1).expand(draft.convolution.output.channels).contiguous()};
  blueprint.define(result, output, std::move(draft));
  return true;
}

}  // namespace onestep::engine
