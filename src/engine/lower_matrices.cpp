#include "arguments.hpp"
#include "operators.hpp"
#include "places.hpp"

namespace onestep::engine {
namespace {

std::size_t position(const AttentionPattern::Part& part, int label) {
  return static_cast<std::size_t>(std::find(part.labels.begin(), part.labels.end(), label) - part.labels.begin());
}

/// A part of attention as [heads, rows, columns], its last stride 1; what it is to be multiplied with goes to `scale`.
View heads_of(Blueprint& blueprint, const AttentionPattern& pattern, const AttentionPattern::Part& part, int row,
              int column, float& scale) {
  Lowered& lowered = blueprint.lowered(part.value);
  if (lowered.lens) blueprint.place(part.value);
  lowered.producer.reset();
  scale *= lowered.scale;
  const View& view = lowered.view;
  std::vector<int> labels = pattern.heads;
  labels.insert(labels.end(), {row, column});
  View all{view.buffer, view.offset, {}, {}};
  for (const int label : labels) {
    all.sizes.push_back(view.sizes[position(part, label)]);
    all.strides.push_back(view.strides[position(part, label)]);
  }
  View three{view.buffer,
             view.offset,
             {1, all.sizes[all.sizes.size() - 2], all.sizes.back()},
             {0, all.strides[all.strides.size() - 2], all.strides.back()}};
  bool even = three.strides[2] == 1 || three.sizes[2] == 1;
  for (std::size_t i = pattern.heads.size(); i-- > 0;) {
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

}  // namespace

void attend(Blueprint& blueprint, const AttentionPattern& pattern) {
  float scale = static_cast<float>(pattern.scale);
  Attention attention;
  attention.q = heads_of(blueprint, pattern, pattern.q, pattern.token, pattern.depth, scale);
  attention.k = heads_of(blueprint, pattern, pattern.k, pattern.other, pattern.depth, scale);
  float output_scale = 1;
  attention.v = heads_of(blueprint, pattern, pattern.v, pattern.other, pattern.column, output_scale);
  attention.scale = scale;

  // Tokens are rows, heads lie side by side in them.
  const ValueId result = pattern.output.value;
  const std::int64_t heads = attention.q.sizes[0], tokens = attention.q.sizes[1], columns = attention.v.sizes[2];
  const View rows = blueprint.new_view({tokens, heads * columns}, 1);
  attention.output = {rows.buffer, 0, {heads, tokens, columns}, {columns, heads * columns, 1}};
  const auto& sizes = blueprint.sizes(result);
  View view{rows.buffer, 0, sizes, std::vector<std::int64_t>(sizes.size())};
  std::int64_t stride = columns;
  for (auto label = pattern.heads.rbegin(); label != pattern.heads.rend(); ++label) {
    const std::size_t d = position(pattern.output, *label);
    view.strides[d] = stride;
    stride *= view.sizes[d];
  }
  view.strides[position(pattern.output, pattern.token)] = heads * columns;
  view.strides[position(pattern.output, pattern.column)] = 1;
  blueprint.define(result, view, attention_step(attention));
  blueprint.lowered(result).scale = output_scale;
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
  draft.convolution.what = "linear";
  if (bias->defined())
    draft.addend = Channels{bias->reshape(-1).expand(draft.convolution.output.channels).contiguous()};
  blueprint.define(result, output, std::move(draft));
  return true;
}

}  // namespace onestep::engine
