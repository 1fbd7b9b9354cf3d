#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace onestep {

/// A set of points in D dimensions, [N, D].
using Points = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Samples as points: a TorchScript network float32 [N, ...] -> float32 [N, D], or the values as they are.
class FeatureNetwork {
 public:
  /// file: empty for the values as they are. Throws Error (file) where it can't be loaded.
  explicit FeatureNetwork(const std::string& file);
  ~FeatureNetwork();

  /// values: [N, ...shape] in C order. Throws Error (file) where the network fails or returns another shape, Error
  /// (numerical) for NaN or infinity.
  Points points(std::span<const float> values, const std::vector<std::int64_t>& shape) const;

 private:
  struct Module;
  std::string file_;
  std::unique_ptr<Module> module_;
};

}  // namespace onestep
