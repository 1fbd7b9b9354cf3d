#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "onestep/model_info.hpp"
#include "onestep/score.hpp"
#include "picture.hpp"

namespace onestep {

/// Where a value lies in a roll [4, pitches, sixteenths]. row: pitches above the lowest; column: sixteenths.
struct Places {
  std::int64_t pitches, columns;

  explicit Places(std::span<const std::int64_t> shape) : pitches(shape[1]), columns(shape[2]) {}
  std::size_t onset(Part part, std::int64_t row, std::int64_t column) const {
    return at(2 * channel(part), row, column);
  }
  std::size_t held(Part part, std::int64_t row, std::int64_t column) const {
    return at(2 * channel(part) + 1, row, column);
  }

 private:
  static std::int64_t channel(Part part) { return part == Part::voice ? 0 : 1; }
  std::size_t at(std::int64_t channel, std::int64_t row, std::int64_t column) const {
    return static_cast<std::size_t>((channel * pitches + row) * columns + column);
  }
};

/// The notes of a roll [4, pitches, sixteenths] of values in [low, high], by part, start and pitch. Each begins at an
/// onset, and lasts while it is held and none begins anew; what is held without an onset before it is none. Throws
/// Error: usage for another shape, numerical for NaN and infinity.
std::vector<Note> notes_of_roll(std::span<const float> values, std::span<const std::int64_t> shape, double low,
                                double high, const RollInfo& roll);

/// The roll [4, pitches, sixteenths] of notes: high where one begins and where it sounds, low elsewhere. The notes must
/// lie within it: Error (usage).
std::vector<float> roll_of_notes(std::span<const Note> notes, std::span<const std::int64_t> shape, double low,
                                 double high, const RollInfo& roll);

/// What a roll looks like: the voice red, the piano blue, darker where a note begins; black keys' rows shaded, a line
/// at every bar, and eight bars in a row, then the next below.
Picture picture_of_notes(std::span<const Note> notes, std::int64_t pitches, std::int64_t sixteenths, int lowest_pitch);

}  // namespace onestep
