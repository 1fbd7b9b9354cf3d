#pragma once

#include <torch/types.h>

#include <span>
#include <vector>

namespace onestep {

/// Points [N, D] in float32. The first 128 MiB of them lie in memory, the others in a temporary file without a name.
class PointSet {
 public:
  PointSet() = default;
  ~PointSet();
  PointSet(PointSet&& other) noexcept { swap(other); }
  PointSet& operator=(PointSet&& other) noexcept;

  /// points: float32 [n, D], finite; always of one D. Throws Error (file) where the temporary file can't be written.
  void append(const torch::Tensor& points);

  std::int64_t count() const { return count_; }
  std::int64_t dimensions() const { return dimensions_; }

  /// float64 [rows, D], in their order. Throws Error (file).
  torch::Tensor gather(std::span<const std::int64_t> rows) const;

 private:
  void swap(PointSet& other) noexcept;
  void write(const float* points, std::int64_t rows);

  std::vector<torch::Tensor> pieces_;  // of `piece` rows each, the last one not full
  std::int64_t count_ = 0, dimensions_ = 0;
  std::int64_t in_memory_ = 0;  // rows
  int file_ = -1;               // of those behind them
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
