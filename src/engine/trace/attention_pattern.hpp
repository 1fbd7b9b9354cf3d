#pragma once

#include <map>

#include "trace/sample_product.hpp"

namespace onestep::engine {

/// Attention, found in a trace: output = softmax(scale * q k^T) v.
struct AttentionPattern {
  struct Part {
    ValueId value = 0;
    std::vector<int> labels;

    std::size_t position(int label) const { return engine::position(labels, label); }
  };
  Part q, k, v, output;
  std::vector<int> heads;  ///< Labels that all four have: samples and heads.
  int token = 0, other = 0, depth = 0, column = 0;
  double scale = 1;
  std::vector<std::size_t> inside;  ///< The operations before the one that ends it.
};

/// Finds attention whichever way it is spelled: matmul, bmm, baddbmm or einsum around a softmax, with factors before or
/// after the first product, or scaled_dot_product_attention. By the operation that ends each.
std::map<std::size_t, AttentionPattern> find_attention(const Trace& trace);

}  // namespace onestep::engine
