#pragma once

#include "kernels/kernels.hpp"
#include "trace/trace.hpp"

namespace onestep::engine {

/// Makes one operation of what networks spell in several: x * sigmoid(x) becomes aten::silu, a division by a norm
/// `over_norm`. What they no longer need stays in the trace, unused.
void join_spelled(Trace& trace);

/// x / floor(scale * |x|, epsilon), with the Euclidean norm over one dimension: pixel normalization (Karras et al.
/// 2024, Eq. 30), cosine attention, an RMS normalization written out.
inline constexpr const char* over_norm = "onestep::over_norm";
struct NormDivision {
  std::size_t dimension = 0;
  double scale = 1, epsilon = 0;
  kernels::Floor floor = kernels::Floor::sum;
};
NormDivision norm_division(const Operation& over_norm);

}  // namespace onestep::engine
