#pragma once

#include "lower/blueprint.hpp"
#include "trace/attention_pattern.hpp"

namespace onestep::engine {

// Operators that steps can do, a function each. It gives the operation's results their places and adds the steps that
// compute them, or makes them part of steps before, and returns true; or it returns false: libtorch is to do it.

/// Convolutions, `transposed` or not; the number of groups is argument `groups_at`.
bool convolve(Blueprint& blueprint, const Operation& operation, bool transposed, std::size_t groups_at);
/// By what was counted in training: a scale and a shift.
bool normalize_batches(Blueprint& blueprint, const Operation& operation);
bool normalize_groups(Blueprint& blueprint, const Operation& operation);
/// A group a channel.
bool normalize_instances(Blueprint& blueprint, const Operation& operation);
/// Over the last dimension: layer normalization, or RMS normalization.
bool normalize_rows(Blueprint& blueprint, const Operation& operation, Moments moments);
/// over_norm, of spellings.hpp.
bool divide_by_norm(Blueprint& blueprint, const Operation& operation);
/// Upsampling to the nearest pixel, padding: every pixel of the result is one of x's, or zero.
bool move_pixels(Blueprint& blueprint, const Operation& operation);
/// Interpolation, average pooling: every pixel of the result is a weighted sum of x's.
bool resample(Blueprint& blueprint, const Operation& operation);
bool pool_largest(Blueprint& blueprint, const Operation& operation);
bool shuffle(Blueprint& blueprint, const Operation& operation);

/// Where a product of x with a matrix has its arguments.
struct MatrixArguments {
  std::size_t x = 0, weight = 1;
  std::optional<std::size_t> bias = {};
  bool by_column = false;  ///< x W^T + b, the weights as [columns, depth]; or x W, as [depth, columns].
};
bool multiply_matrix(Blueprint& blueprint, const Operation& operation, const MatrixArguments& at);

/// A product of two values, of which one at least depends on x.
bool multiply_samples(Blueprint& blueprint, const Operation& operation);
bool softmax(Blueprint& blueprint, const Operation& operation);

bool activate(Blueprint& blueprint, const Operation& operation, const kernels::Activation& activation);
bool clamp(Blueprint& blueprint, const Operation& operation);
bool multiply(Blueprint& blueprint, const Operation& operation);
bool divide(Blueprint& blueprint, const Operation& operation);
bool negate(Blueprint& blueprint, const Operation& operation);
/// a + sign * alpha * b.
bool add(Blueprint& blueprint, const Operation& operation, double sign);
/// input + value * first * second, where the value is x's and the others are the channels'.
bool add_product(Blueprint& blueprint, const Operation& operation);
/// a + weight * (b - a).
bool interpolate(Blueprint& blueprint, const Operation& operation);

bool concatenate(Blueprint& blueprint, const Operation& operation);
/// A number everywhere, as many as x's sizes say.
bool fill(Blueprint& blueprint, const Operation& operation);
/// The value itself, under another name.
bool pass_on(Blueprint& blueprint, const Operation& operation);
/// Operations that look at the same numbers in another way, libtorch says how.
bool view(Blueprint& blueprint, const Operation& operation);

/// All the operations of a pattern at once.
void attend(Blueprint& blueprint, const AttentionPattern& pattern);

}  // namespace onestep::engine
