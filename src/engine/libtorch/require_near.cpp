#include "libtorch/require_near.hpp"

#include "engine.hpp"

namespace onestep::engine {

void require_near(const torch::Tensor& output, const torch::Tensor& expected, bool reduced) {
  if (output.sizes() != expected.sizes()) throw NotCompiled("compiled, its output has another shape");
  const double size = expected.abs().max().item<double>();
  const double difference = (output - expected).abs().max().item<double>();
  // float32 sums in another order, or numbers of 8 bits through some 50 layers; mistakes are larger.
  const double allowed = reduced ? 0.1 : 1e-3;
  if (!(difference <= allowed * std::max(1.0, size))) {
    throw NotCompiled("compiled, it differs by " + std::to_string(difference) + " from what it is");
  }
}

}  // namespace onestep::engine
