#include "gather.hpp"

#include "places.hpp"

namespace onestep::engine {
namespace {

/// Calls visit(index) for every index below `bounds`, the last dimension fastest.
void for_each_index(const Extents& bounds, const std::function<void(const Extents&)>& visit) {
  Extents index(bounds.size(), 0);
  for (std::int64_t left = product(bounds); left > 0; --left) {
    visit(index);
    for (std::size_t d = bounds.size(); d-- > 0;) {
      if (++index[d] < bounds[d]) break;
      index[d] = 0;
    }
  }
}

/// The gather whose tap at `pixel` reads coordinate(pixel, tap, d) of each dimension d of an image of extents `from`,
/// and padding where that is outside.
template <typename Coordinate>
Gather gather_from(const Extents& from, const Extents& to, const Extents& taps, Coordinate coordinate) {
  Gather gather{product(to), product(taps), {}};
  for_each_index(to, [&](const Extents& pixel) {
    for_each_index(taps, [&](const Extents& tap) {
      std::int64_t index = 0;
      for (std::size_t d = 0; d < to.size() && index >= 0; ++d) {
        const std::int64_t in = coordinate(pixel, tap, d);
        index = in >= 0 && in < from[d] ? index * from[d] + in : -1;
      }
      gather.index.push_back(static_cast<std::int32_t>(index));
    });
  });
  return gather;
}

Extents one_tap(const Extents& extents) { return Extents(extents.size(), 1); }

}  // namespace

Extents extents_of(const std::vector<std::int64_t>& sizes) { return {sizes.begin() + 2, sizes.end()}; }

Gather window_gather(const Extents& from, const Extents& to, const Window& window) {
  return gather_from(from, to, window.kernel, [&](const Extents& pixel, const Extents& tap, std::size_t d) {
    if (!window.transposed) return pixel[d] * window.stride[d] - window.padding[d] + tap[d] * window.dilation[d];
    const std::int64_t in = pixel[d] + window.padding[d] - tap[d] * window.dilation[d];
    return in >= 0 && in % window.stride[d] == 0 ? in / window.stride[d] : -1;
  });
}

Gather upsampling_gather(const Extents& from, const Extents& to) {
  return gather_from(from, to, one_tap(to),
                     [&](const Extents& pixel, const Extents&, std::size_t d) { return pixel[d] / (to[d] / from[d]); });
}

Gather padding_gather(const Extents& from, const Extents& to, const Extents& before) {
  return gather_from(from, to, one_tap(to),
                     [&](const Extents& pixel, const Extents&, std::size_t d) { return pixel[d] - before[d]; });
}

Gather seen_through(const Gather& lens, Gather gather) {
  for (std::int32_t& index : gather.index) {
    if (index >= 0) index = lens.index[static_cast<std::size_t>(index)];
  }
  return gather;
}

}  // namespace onestep::engine
