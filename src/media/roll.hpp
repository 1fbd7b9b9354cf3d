#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "onestep/model_info.hpp"
#include "onestep/score.hpp"
#include "picture.hpp"

namespace onestep {

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
