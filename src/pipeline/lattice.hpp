#pragma once

#include <cstdint>
#include <vector>

namespace onestep {

/// How one axis of a plane is cut into the windows that a network is called with. Window i is given what lies at
/// [i * step - margin, ... + window), and its output counts for [i * step, ... + kept()).
struct Axis {
  std::int64_t window = 1;  ///< Of the network's input.
  std::int64_t margin = 0;  ///< Of its output, cut off at each end.
  std::int64_t step = 1;    ///< From one window to the next, <= kept().
  std::int64_t group = 1;   ///< Windows of a call, fixed, so that a window's bits do not depend on who asks for it.
  std::int64_t period = 0;  ///< A multiple of step, where windows overlap; 0: the axis has no end.

  std::int64_t kept() const { return window - 2 * margin; }
  /// Windows that overlap are moved by half a step in every other call of the network, lest their edges add up.
  std::int64_t shift(std::int64_t call) const { return kept() > step && call % 2 == 1 ? step / 2 : 0; }
  /// From first to last those that count for some of [begin, end).
  std::int64_t first_window(std::int64_t begin, std::int64_t shift) const;
  std::int64_t last_window(std::int64_t end, std::int64_t shift) const;
  /// The window within the period that is the same.
  std::int64_t canonical(std::int64_t i) const;
  /// How much a window's output counts at its places, [kept()]: most in the middle, all alike where none overlap.
  std::vector<float> weights() const;
};

/// A stretch of an axis, and where it begins in what it was cut from.
struct Piece {
  std::int64_t begin = 0, end = 0, offset = 0;
};

/// [begin, end) in pieces within [0, period); period 0: as it is.
std::vector<Piece> pieces_of(std::int64_t begin, std::int64_t end, std::int64_t period);

std::int64_t floor_divide(std::int64_t a, std::int64_t b);
std::int64_t floor_modulo(std::int64_t a, std::int64_t b);
std::int64_t round_up(std::int64_t value, std::int64_t multiple);

}  // namespace onestep
