#pragma once

#include <optional>

#include "kernels/kernels.hpp"
#include "run/convolution.hpp"
#include "run/step.hpp"

namespace onestep::engine {

/// Whose mean and variance a normalization takes: those of a group of channels over all rows (Wu & He 2018), those of a
/// row (Ba et al. 2016), or of a row 0 and the mean square (Zhang & Sennrich 2019).
enum class Moments { group, row, row_square };

/// y = activation(multiplier * (x - mean) / floor(deviation, epsilon) + addend).
struct Normalization {
  Rows input, output;
  Moments moments = Moments::group;
  std::int64_t groups = 1;
  double epsilon = 1e-5;
  kernels::Floor floor = kernels::Floor::variance;  ///< A group has no other.
  Row multiplier, addend;
  kernels::Activation activation = {};
};
std::unique_ptr<Step> normalization_step(Normalization normalization);

/// y = activation(multiplier * x + addend + residual_scale * residual).
struct Affine {
  Rows input, output;
  Row multiplier, addend;
  std::optional<Rows> residual;
  float residual_scale = 1;
  kernels::Activation activation = {};
};
std::unique_ptr<Step> affine_step(Affine affine);

/// y = a * b.
struct ElementwiseProduct {
  Rows a, b, output;
};
std::unique_ptr<Step> elementwise_product_step(ElementwiseProduct product);

/// y[p][c] of the taps x[gather[p][t]][c], each channel by itself.
struct Depthwise {
  enum Kind {
    tap,          ///< The only one: padding, nearest-neighbour upsampling.
    by_channel,   ///< Their sum with weights [taps][channels]: depthwise convolutions.
    by_pixel,     ///< Their sum with weights [pixels][taps]: interpolation, average pooling.
    largest_tap,  ///< Maximum pooling.
  };
  Rows input, output;
  Gather gather;
  Kind kind = tap;
  std::vector<float> weights = {};
  std::string description;
};
std::unique_ptr<Step> depthwise_step(Depthwise depthwise);

/// softmax(scale q k^T) v of every head (Vaswani et al. 2017). q [heads, tokens, depth], k [heads, others, depth], v
/// [heads, others, columns], output [heads, tokens, columns]; the last stride of each is 1.
struct Attention {
  View q, k, v, output;
  float scale = 1;
};
std::unique_ptr<Step> attention_step(Attention attention);

/// a b of every head. a [heads, rows, depth], b [heads, depth, columns], output [heads, rows, columns]; the last
/// strides of a and the output are 1.
struct MatrixProduct {
  View a, b, output;
};
std::unique_ptr<Step> matrix_product_step(MatrixProduct product);

/// softmax over one dimension. input and output have the same sizes; that dimension has stride 1 in both, or another
/// one, `channel`, has.
struct Softmax {
  View input, output;
  std::size_t dimension = 0, channel = 0;
};
std::unique_ptr<Step> softmax_step(Softmax softmax);

/// The same numbers in another place, times `scale`; the sizes are the same.
struct Copy {
  View from, to;
  float scale = 1;
};
std::unique_ptr<Step> copy_step(Copy copy);

/// Numbers that don't depend on x, as they lie in `to`, which is dense.
std::unique_ptr<Step> known_step(View to, Row numbers);

/// Copies of the run's input to a buffer, and of a buffer to the run's output; both in C order outside.
std::unique_ptr<Step> input_step(const View& to);
std::unique_ptr<Step> output_step(const View& from);

}  // namespace onestep::engine
