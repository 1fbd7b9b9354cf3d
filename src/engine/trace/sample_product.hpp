#pragma once

#include <initializer_list>
#include <optional>
#include <vector>

#include "trace/trace.hpp"

namespace onestep::engine {

/// Where a label stands among those of a tensor's dimensions; behind them all if it is none of them.
std::size_t position(const std::vector<int>& labels, int label);

bool contains(const std::vector<int>& labels, int label);

/// A sum of products of two tensors, of which one at least depends on x, times `scale`, over the labels that the result
/// lacks: a product of matrices. Dimensions have labels, as in Einstein's notation.
struct SampleProduct {
  std::vector<int> a, b, result;
  ValueId a_value = 0, b_value = 0;
  double scale = 1;
};
/// matmul, bmm, baddbmm without what it adds, or einsum of two.
std::optional<SampleProduct> as_sample_product(const Trace& trace, const Operation& operation);

/// Whether some of the values depend on x, and all are of one type.
bool depend_on_x(const Trace& trace, std::initializer_list<ValueId> values);

}  // namespace onestep::engine
