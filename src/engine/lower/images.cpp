#include "lower/gather.hpp"
#include "lower/operators.hpp"
#include "lower/pixel_weights.hpp"
#include "run/places.hpp"
#include "trace/arguments.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

/// The image that a convolution reads.
struct Image {
  Rows rows;
  std::shared_ptr<const Lens> lens;  // through which the rows are seen, if any
  float scale = 1;
  Extents extents;
};

Image image_of(Blueprint& blueprint, ValueId value) {
  Image image;
  image.extents = extents_of(blueprint.sizes(value));
  const Lowered& lowered = blueprint.lowered(value);
  if (lowered.lens) {
    image.lens = lowered.lens;
    image.rows = lowered.lens->rows;
    image.scale = lowered.scale;
  } else if (blueprint.is_rows(value, 1)) {
    image.rows = *as_rows(lowered.view, 1);
    image.scale = lowered.scale;
  } else {
    image.rows = blueprint.rows_of(value, 1);
  }
  return image;
}

/// A gather from the image as one from its rows.
Gather from_rows(const Image& image, Gather gather) {
  return image.lens ? seen_through(image.lens->gather, std::move(gather)) : gather;
}

/// The result is what `gather` makes of x; nothing is copied yet.
void look_through(Blueprint& blueprint, ValueId result, ValueId x, Gather gather, std::string description) {
  const Image image = image_of(blueprint, x);
  Lowered& lowered = blueprint.lowered(result) = Lowered{};
  lowered.scale = image.scale;
  lowered.lens =
      std::make_shared<const Lens>(Lens{image.rows, from_rows(image, std::move(gather)), std::move(description)});
}

void convolve_depthwise(Blueprint& blueprint, ValueId result, const View& output, const Image& image, Gather gather,
                        const Tensor& weight, const Tensor& bias, const std::string& size) {
  const std::int64_t channels = blueprint.sizes(result)[1];
  const Rows rows = *as_rows(output, 1);
  const Tensor by_tap = (weight.reshape({channels, gather.taps}).t() * image.scale).contiguous();
  const float* numbers = by_tap.const_data_ptr<float>();
  blueprint.define(result, output,
                   depthwise_step({image.rows,
                                   rows,
                                   std::move(gather),
                                   Depthwise::by_channel,
                                   {numbers, numbers + by_tap.numel()},
                                   "depthwise convolution " + size}));
  if (!bias.defined()) return;
  AffineDraft draft;
  draft.affine.input = draft.affine.output = rows;
  draft.multiplier = filled(channels, 1);
  draft.addend = {bias};
  blueprint.define(result, output, std::move(draft));
}

}  // namespace

bool convolve(Blueprint& blueprint, const Operation& operation, bool transposed, std::size_t groups_at) {
  const auto x = image_at(blueprint.trace(), operation, 0);
  const auto weight = weight_at(blueprint.trace(), operation, 1), bias = weight_at(blueprint.trace(), operation, 2);
  const ValueId result = operation.results[0];
  if (!x || !weight || !weight->defined() || !bias) return false;
  const std::size_t dimensions = blueprint.sizes(*x).size() - 2;
  const Window window{extents_of(weight->sizes().vec()), integers_at(operation, 3, dimensions),
                      integers_at(operation, 4, dimensions), integers_at(operation, 5, dimensions), transposed};
  for (const Extents* part : {&window.kernel, &window.stride, &window.padding, &window.dilation}) {
    if (part->size() != dimensions) return false;
  }
  const std::int64_t channels = blueprint.sizes(*x)[1], columns = blueprint.sizes(result)[1];
  const std::int64_t groups = other_at(operation, groups_at).toInt();
  const bool depthwise = groups > 1 && groups == channels && columns == channels;
  if (groups != 1 && !depthwise) return false;

  const Image image = image_of(blueprint, *x);
  const Extents out = extents_of(blueprint.sizes(result));
  const View output = blueprint.new_value(result, 1);
  Gather gather = from_rows(image, window_gather(image.extents, out, window));
  std::string size;
  for (const std::int64_t extent : window.kernel) {
    if (!size.empty()) size += 'x';
    size += std::to_string(extent);
  }
  if (depthwise) {
    convolve_depthwise(blueprint, result, output, image, std::move(gather), *weight, *bias, size);
    return true;
  }

  Tensor filters = transposed ? weight->transpose(0, 1) : *weight;
  if (image.scale != 1) filters = filters * image.scale;
  ConvolutionDraft draft;
  draft.convolution.input = image.rows;
  draft.convolution.output = *as_rows(output, 1);
  draft.filters = filters.reshape({columns, channels, gather.taps});
  draft.convolution.description = (transposed ? "transposed convolution " : "convolution ") + size;
  if (bias->defined()) draft.addend = Channels{*bias};
  const Extents ones(dimensions, 1);
  const bool same = window.stride == ones && out == image.extents && !transposed;
  const bool pointwise = same && gather.taps == 1 && !image.lens;
  if (!pointwise) draft.convolution.gather = std::move(gather);
  if (same && window.kernel == Extents{3, 3} && window.dilation == ones) draft.image = WholeImage{out[0], out[1]};
  blueprint.define(result, output, std::move(draft));
  return true;
}

bool move_pixels(Blueprint& blueprint, const Operation& operation) {
  const auto x = image_at(blueprint.trace(), operation, 0);
  const ValueId result = operation.results[0];
  if (!x || tensors_of(operation).size() != 1) return false;
  const Extents from = extents_of(blueprint.sizes(*x)), to = extents_of(blueprint.sizes(result));
  const std::int64_t count = element_count(from);
  constexpr std::int64_t exact = 1 << 23;  // float32 holds them, and twice as many
  if (count > exact || blueprint.sizes(result)[1] != blueprint.sizes(*x)[1]) return false;
  // libtorch says which pixels go where: it is asked to move their numbers, from 1 on. Zeros are padding.
  std::vector<std::int64_t> given{1, 1}, made{1, 2};
  given.insert(given.end(), from.begin(), from.end());
  made.insert(made.end(), to.begin(), to.end());
  const Tensor numbers = torch::arange(1, count + 1, torch::dtype(torch::kFloat32)).reshape(given);
  const Tensor both = call(operation, [&](ValueId) { return torch::cat({numbers, 2 * numbers}, 1); })[0];
  // Channels stay apart, and there is nothing but pixels and zeros: twice the numbers give twice the result.
  if (both.sizes() != made || !both.narrow(1, 1, 1).equal(2 * both.narrow(1, 0, 1))) return false;
  const Tensor index = (both.narrow(1, 0, 1) - 1).to(torch::kInt32).contiguous();
  const auto* rows = index.const_data_ptr<std::int32_t>();
  const bool upsamples = operation.name.find("upsample") != std::string::npos;
  look_through(blueprint, result, *x, {index.numel(), 1, {rows, rows + index.numel()}},
               upsamples ? "nearest-neighbour upsampling" : "padding");
  return true;
}

bool resample(Blueprint& blueprint, const Operation& operation) {
  const auto x = image_at(blueprint.trace(), operation, 0);
  const ValueId result = operation.results[0];
  if (!x || tensors_of(operation).size() != 1) return false;
  const Extents from = extents_of(blueprint.sizes(*x)), to = extents_of(blueprint.sizes(result));
  if (from.size() != to.size() || blueprint.sizes(result)[1] != blueprint.sizes(*x)[1]) return false;
  const auto weights =
      pixel_weights(from, to, [&](const Tensor& image) { return call(operation, [&](ValueId) { return image; })[0]; });
  if (!weights) return false;
  const Image image = image_of(blueprint, *x);
  const View output = blueprint.new_value(result, 1);
  const bool pools = operation.name.find("pool") != std::string::npos;
  std::vector<float> scaled;
  for (const double weight : weights->weights) scaled.push_back(static_cast<float>(weight * image.scale));
  blueprint.define(
      result, output,
      depthwise_step({image.rows, *as_rows(output, 1), from_rows(image, weights->gather), Depthwise::by_pixel,
                      std::move(scaled), pools ? "average pooling" : "interpolation"}));
  return true;
}

bool pool_largest(Blueprint& blueprint, const Operation& operation) {
  const auto x = image_at(blueprint.trace(), operation, 0);
  if (!x) return false;
  const ValueId result = operation.results[0];
  const Extents from = extents_of(blueprint.sizes(*x)), to = extents_of(blueprint.sizes(result));
  if (from.size() != to.size() || blueprint.sizes(result)[1] != blueprint.sizes(*x)[1]) return false;
  Window window{integers_at(operation, 1, from.size()), integers_at(operation, 2, from.size()),
                integers_at(operation, 3, from.size()), integers_at(operation, 4, from.size())};
  if (window.stride.empty()) window.stride = window.kernel;
  for (const Extents* part : {&window.kernel, &window.stride, &window.padding, &window.dilation}) {
    if (part->size() != from.size()) return false;
  }
  const Rows rows = blueprint.rows_of(*x, 1);
  const View output = blueprint.new_value(result, 1);
  blueprint.define(
      result, output,
      depthwise_step(
          {rows, *as_rows(output, 1), window_gather(from, to, window), Depthwise::largest_tap, {}, "maximum pooling"}));
  return true;
}

bool shuffle(Blueprint& blueprint, const Operation& operation) {
  const auto x = image_at(blueprint.trace(), operation, 0);
  if (!x || blueprint.sizes(*x).size() != 4) return false;
  const ValueId result = operation.results[0];
  const std::int64_t r = other_at(operation, 1).toInt();
  // The larger picture as [1, C, H, r, W, r], the smaller as [1, C, r, r, H, W].
  const bool folds = operation.name == "aten::pixel_unshuffle";
  const View from = blueprint.place(*x);
  const View to = blueprint.new_value(result, 1);
  const View &large = folds ? from : to, &small = folds ? to : from;
  const auto& s = small.strides;
  const std::int64_t c = large.sizes[1], h = small.sizes[2], w = small.sizes[3];
  const View small_parts{small.buffer, small.offset, {c, r, r, h, w}, {s[1] * r * r, s[1] * r, s[1], s[2], s[3]}};
  const auto& l = large.strides;
  const View large_parts{large.buffer, large.offset, {c, r, r, h, w}, {l[1], l[2], l[3], l[2] * r, l[3] * r}};
  blueprint.define(result, to, copy_step({folds ? large_parts : small_parts, folds ? small_parts : large_parts}));
  return true;
}

}  // namespace onestep::engine
