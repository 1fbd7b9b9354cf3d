#include "point_set.hpp"

#include <algorithm>

namespace onestep {
namespace {

constexpr std::int64_t piece = 1024;  // rows

}  // namespace

void PointSet::append(const torch::Tensor& points) {
  for (std::int64_t from = 0; from < points.size(0);) {
    const std::int64_t filled = count_ % piece;
    if (filled == 0) pieces_.push_back(torch::empty({piece, points.size(1)}));
    const std::int64_t rows = std::min(piece - filled, points.size(0) - from);
    pieces_.back().narrow(0, filled, rows).copy_(points.narrow(0, from, rows));
    from += rows;
    count_ += rows;
  }
}

torch::Tensor PointSet::gather(std::span<const std::int64_t> rows) const {
  torch::Tensor gathered = torch::empty({static_cast<std::int64_t>(rows.size()), dimensions()}, torch::kFloat64);
  double* to = gathered.data_ptr<double>();
  for (const std::int64_t row : rows) {
    const float* from =
        pieces_[static_cast<std::size_t>(row / piece)].const_data_ptr<float>() + row % piece * dimensions();
    to = std::copy_n(from, dimensions(), to);
  }
  return gathered;
}

torch::Tensor Part::block(std::int64_t first, std::int64_t most) const {
  return set.gather(
      rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(std::min(most, count() - first))));
}

}  // namespace onestep
