#pragma once

#include <map>

#include "trace/trace.hpp"

namespace onestep::engine {

// What a GPU does faster in other operators of libtorch than those the network was written in. What an operation no
// longer needs stays in the trace, unused.

/// Attention becomes aten::scaled_dot_product_attention, whose kernels never hold the weights of all pairs at once (Dao
/// et al. 2022).
void join_attention(Trace& trace);

/// A group normalization, times a scale, plus a shift, both of the conditions, becomes one normalization: every sample
/// has its own scale and shift if the samples are taken for groups of one sample's channels. What the affine
/// transformations amount to together depends on the conditions alone.
void join_scale_and_shift(Trace& trace);

/// Views that libtorch refuses of a tensor whose dimensions lie in another order are copies then.
void allow_any_layout(Trace& trace);

/// Weights that were converted, by what they were.
using Converted = std::map<c10::intrusive_ptr<c10::TensorImpl>, torch::Tensor>;

/// The factors of products become `type`, those of convolutions channels-last as well, in one copy each; weights once,
/// which `converted` keeps for traces of the same network. Normalizations of groups, which libtorch has for float32 in
/// the usual order, are given that in one copy; what libtorch has for float32 alone is given that.
void convert_products(Trace& trace, torch::ScalarType type, Converted& converted);

}  // namespace onestep::engine
