#pragma once

#include <optional>

#include "kernels/bf16.hpp"
#include "kernels/kernels.hpp"
#include "run/packed_weights.hpp"
#include "run/step.hpp"

namespace onestep::engine {

/// Where each pixel's taps read: [pixels][taps], rows of the input, -1 for padding.
struct Gather {
  std::int64_t pixels = 0, taps = 0;
  std::vector<std::int32_t> index;
};

/// Throws std::logic_error unless a gather reads rows of the input alone and makes as many as the output has: a mistake
/// in lowering must not read other memory. None: a row each.
void require_within(const std::optional<Gather>& gather, const Rows& input, const Rows& output);

/// Sums over taps and channels of rows, as of a convolution or a linear layer:
/// y[p][n] = activation(sum_t sum_k x[gather[p][t]][k] * weights[t][k][n] + addend[n] + residual_scale *
/// residual[p][n]).
struct Convolution {
  Rows input, output;
  std::optional<Gather> gather;  ///< None: one tap, the row itself.
  std::vector<float> weights;    ///< [columns][depth][taps]
  std::optional<Row> addend;
  std::optional<Rows> residual;
  float residual_scale = 1;
  kernels::Activation activation = {};
  std::string description;  ///< "convolution 3x3", "linear"
};

/// A 3x3 convolution of stride 1 and padding 1 over an image, which Winograd's algorithm can do.
struct WholeImage {
  std::int64_t height = 0, width = 0;  ///< Of the output.
};

/// image: the convolution is one of those that Winograd's algorithm can do. unit: it may be computed in bf16. Which
/// algorithm does it is decided here, by its shape.
std::unique_ptr<Step> convolution_step(Convolution convolution, std::optional<WholeImage> image,
                                       std::optional<kernels::bf16::Unit> unit, PackedWeights& packed_weights);

}  // namespace onestep::engine
