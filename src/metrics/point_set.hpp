#pragma once

#include <torch/types.h>

#include <span>
#include <vector>

namespace onestep {

/// Points [N, D] in float32, kept in pieces: it grows without being copied.
class PointSet {
 public:
  /// points: float32 [n, D], finite; always of one D.
  void append(const torch::Tensor& points);

  std::int64_t count() const { return count_; }
  std::int64_t dimensions() const { return pieces_.empty() ? 0 : pieces_.front().size(1); }

  /// float64 [rows, D], in their order.
  torch::Tensor gather(std::span<const std::int64_t> rows) const;

 private:
  std::vector<torch::Tensor> pieces_;  // of `piece` rows each, the last one not full
  std::int64_t count_ = 0;
};

/// Some of a set's points, by their numbers.
struct Part {
  const PointSet& set;
  std::span<const std::int64_t> rows;

  std::int64_t count() const { return static_cast<std::int64_t>(rows.size()); }
  /// float64 [up to `most`, D], from `first` on.
  torch::Tensor block(std::int64_t first, std::int64_t most) const;
};

}  // namespace onestep
