#include "lower/gather.hpp"

#include "run/places.hpp"

namespace onestep::engine {
namespace {

/// Calls visit(index) for every index below `bounds`, the last dimension fastest.
void for_each_index(const Extents& bounds, const std::function<void(const Extents&)>& visit) {
  Extents index(bounds.size(), 0);
  for (std::int64_t left = element_count(bounds); left > 0; --left) {
    visit(index);
    for (std::size_t d = bounds.size(); d-- > 0;) {
      if (++index[d] < bounds[d]) break;
      index[d] = 0;
    }
  }
}

}  // namespace

Extents extents_of(const std::vector<std::int64_t>& sizes) { return {sizes.begin() + 2, sizes.end()}; }

Gather window_gather(const Extents& from, const Extents& to, const Window& window) {
  Gather gather{element_count(to), element_count(window.kernel), {}};
  const auto coordinate = [&](std::int64_t pixel, std::int64_t tap, std::size_t d) {
    if (!window.transposed) return pixel * window.stride[d] - window.padding[d] + tap * window.dilation[d];
    const std::int64_t in = pixel + window.padding[d] - tap * window.dilation[d];
    return in >= 0 && in % window.stride[d] == 0 ? in / window.stride[d] : -1;
  };
  for_each_index(to, [&](const Extents& pixel) {
    for_each_index(window.kernel, [&](const Extents& tap) {
      std::int64_t index = 0;
      for (std::size_t d = 0; d < to.size() && index >= 0; ++d) {
        const std::int64_t in = coordinate(pixel[d], tap[d], d);
        index = in >= 0 && in < from[d] ? index * from[d] + in : -1;
      }
      gather.index.push_back(static_cast<std::int32_t>(index));
    });
  });
  return gather;
}

Gather seen_through(const Gather& lens, Gather gather) {
  for (std::int32_t& index : gather.index) {
    if (index >= 0) index = lens.index[static_cast<std::size_t>(index)];
  }
  return gather;
}

}  // namespace onestep::engine
