#include "lattice.hpp"

#include <algorithm>

namespace onestep {

std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0); }

std::int64_t floor_modulo(std::int64_t a, std::int64_t b) { return a - floor_divide(a, b) * b; }

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::int64_t Axis::first_window(std::int64_t begin, std::int64_t shift) const {
  return floor_divide(begin - shift - kept(), step) + 1;
}

std::int64_t Axis::last_window(std::int64_t end, std::int64_t shift) const {
  return floor_divide(end - 1 - shift, step);
}

std::int64_t Axis::canonical(std::int64_t i) const {
  return period > 0 ? floor_modulo(i, round_up(period, step) / step) : i;
}

std::vector<float> Axis::weights() const {
  std::vector<float> weights;
  for (std::int64_t i = 0; i < kept(); ++i) {
    weights.push_back(kept() > step ? static_cast<float>(std::min(i, kept() - 1 - i) + 1) : 1.f);
  }
  return weights;
}

std::vector<Piece> pieces_of(std::int64_t begin, std::int64_t end, std::int64_t period) {
  if (period == 0) return {{begin, end, 0}};
  std::vector<Piece> pieces;
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t inside = floor_modulo(at, period);
    const std::int64_t count = std::min(end - at, period - inside);
    pieces.push_back({inside, inside + count, at - begin});
    at += count;
  }
  return pieces;
}

}  // namespace onestep
