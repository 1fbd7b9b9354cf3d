#include "run/places.hpp"

#include <numeric>

namespace onestep::engine {

std::int64_t element_count(const std::vector<std::int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

std::size_t usual_channel(std::size_t rank) { return rank >= 4 ? 1 : rank - 1; }

std::optional<std::size_t> closest_dimension(const View& view) {
  for (std::size_t i = view.strides.size(); i-- > 0;) {
    if (view.sizes[i] > 1 && view.strides[i] == 1) return i;
  }
  return std::nullopt;
}

std::vector<std::int64_t> c_order(const std::vector<std::int64_t>& sizes) {
  std::vector<std::int64_t> strides(sizes.size());
  std::int64_t stride = 1;
  for (std::size_t i = sizes.size(); i-- > 0; stride *= sizes[i]) strides[i] = stride;
  return strides;
}

View laid_out(const Rows& rows, std::vector<std::int64_t> sizes, std::size_t channel) {
  View view{rows.buffer, rows.offset, std::move(sizes), {}};
  view.strides.resize(view.sizes.size());
  std::int64_t stride = rows.stride;
  for (std::size_t i = view.sizes.size(); i-- > 0;) {
    view.strides[i] = i == channel ? 1 : stride;
    if (i != channel) stride *= view.sizes[i];
  }
  return view;
}

std::optional<Rows> as_rows(const View& view, std::size_t channel) {
  if (channel >= view.sizes.size()) return std::nullopt;
  if (view.sizes[channel] > 1 && view.strides[channel] != 1) return std::nullopt;
  Rows rows{view.buffer, view.offset, 1, view.sizes[channel], view.sizes[channel]};
  for (std::size_t i = view.sizes.size(); i-- > 0;) {
    if (i == channel || view.sizes[i] == 1) continue;
    if (rows.count == 1) {
      rows.stride = view.strides[i];
    } else if (view.strides[i] != rows.stride * rows.count) {
      return std::nullopt;
    }
    rows.count *= view.sizes[i];
  }
  return rows;
}

bool same_place(const Rows& a, const Rows& b) {
  return a.buffer == b.buffer && a.offset == b.offset && a.count == b.count && a.channels == b.channels &&
         (a.stride == b.stride || a.count == 1);
}

}  // namespace onestep::engine
