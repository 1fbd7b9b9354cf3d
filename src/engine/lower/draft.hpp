#pragma once

#include "lower/channels.hpp"
#include "run/steps.hpp"

namespace onestep::engine {

struct ConvolutionDraft {
  Convolution convolution;
  torch::Tensor filters;  ///< [columns, depth, taps]; copied when the step is made
  std::optional<WholeImage> image = {};
  std::optional<Channels> addend = {};
};
struct NormalizationDraft {
  Normalization normalization;
  Channels multiplier, addend;
};
struct AffineDraft {
  Affine affine;
  Channels multiplier, addend;
};
/// A step that others may still be made part of, or one that is made already.
using Draft = std::variant<std::unique_ptr<Step>, ConvolutionDraft, NormalizationDraft, AffineDraft>;

/// Where the step of a draft, not yet made, is to write.
Rows& output_of(Draft& draft);

/// The buffers that a step, made or not, writes.
std::vector<std::size_t> written_by(const Draft& draft);

// What is done to the output of a draft, not yet made, as part of its step. They say whether they could; if not, the
// draft is as it was.

bool multiply_in(Draft& draft, const Channels& factor, Conditions& conditions);
bool add_in(Draft& draft, const Channels& addend, Conditions& conditions);
bool add_residual_in(Draft& draft, const Rows& residual, float scale);
bool activate_in(Draft& draft, const kernels::Activation& activation);

/// Nothing is made part of it any more: the rows that it takes from the conditions get their places.
void close(Draft& draft, Conditions& conditions);

/// The step of a draft that is closed. unit: products may be in bf16. Several may be made at once.
std::unique_ptr<Step> made_of(Draft draft, std::optional<kernels::bf16::Unit> unit, PackedWeights& packed_weights);

}  // namespace onestep::engine
