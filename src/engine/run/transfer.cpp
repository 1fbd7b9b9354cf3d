#include "run/transfer.hpp"

#include <algorithm>

namespace onestep::engine {

Transfer::Transfer(const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& from_strides,
                   const std::vector<std::int64_t>& to_strides) {
  std::vector<Dimension> all;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != 1) all.push_back({sizes[i], from_strides[i], to_strides[i]});
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.to > b.to; });
  for (const Dimension& inner : all) {
    if (!dimensions_.empty()) {
      Dimension& outer = dimensions_.back();
      if (outer.from == inner.size * inner.from && outer.to == inner.size * inner.to) {
        outer = {outer.size * inner.size, inner.from, inner.to};
        continue;
      }
    }
    dimensions_.push_back(inner);
  }
  if (dimensions_.empty()) dimensions_.push_back({1, 1, 1});
}

std::int64_t Transfer::parts() const { return std::clamp<std::int64_t>(dimensions_[0].size, 1, 16); }

void Transfer::run(const float* from, float* to, float scale, std::int64_t part) const {
  const std::int64_t size = dimensions_[0].size;
  move(0, part * size / parts(), (part + 1) * size / parts(), from, to, scale);
}

void Transfer::move(std::size_t dimension, std::int64_t first, std::int64_t last, const float* from, float* to,
                    float scale) const {
  const Dimension& d = dimensions_[dimension];
  if (dimension + 1 < dimensions_.size()) {
    const std::int64_t inner = dimensions_[dimension + 1].size;
    for (std::int64_t i = first; i < last; ++i) move(dimension + 1, 0, inner, from + i * d.from, to + i * d.to, scale);
  } else if (d.from == 1 && d.to == 1) {
    for (std::int64_t i = first; i < last; ++i) to[i] = scale * from[i];
  } else {
    for (std::int64_t i = first; i < last; ++i) to[i * d.to] = scale * from[i * d.from];
  }
}

}  // namespace onestep::engine
