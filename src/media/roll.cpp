#include "roll.hpp"

#include <algorithm>
#include <string>

#include "onestep/error.hpp"
#include "values.hpp"

namespace onestep {
namespace {

void require_roll(std::size_t count, std::span<const std::int64_t> shape) {
  if (shape.size() != 3 || shape[0] != 4)
    throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " must be [4, pitches, sixteenths]");
  require_shape(count, shape);
}

}  // namespace

std::vector<Note> notes_of_roll(std::span<const float> values, std::span<const std::int64_t> shape, double low,
                                double high, const RollInfo& roll) {
  require_roll(values.size(), shape);
  const Places places(shape);
  const auto above = [&](std::size_t place, double threshold) {
    return fraction(values[place], low, high) > threshold;
  };
  const double onset = (roll.onset_threshold - low) / (high - low), held = (roll.held_threshold - low) / (high - low);
  std::vector<Note> notes;
  for (const Part part : {Part::voice, Part::piano}) {
    for (std::int64_t column = 0; column < places.columns; ++column) {
      for (std::int64_t row = 0; row < places.pitches; ++row) {
        if (!above(places.onset(part, row, column), onset)) continue;
        std::int64_t end = column + 1;
        while (end < places.columns && above(places.held(part, row, end), held) &&
               !above(places.onset(part, row, end), onset))
          ++end;
        notes.push_back({part, column, end - column, roll.lowest_pitch + static_cast<int>(row)});
      }
    }
  }
  return notes;
}

std::vector<float> roll_of_notes(std::span<const Note> notes, std::span<const std::int64_t> shape, double low,
                                 double high, const RollInfo& roll) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::size_t>(std::max<std::int64_t>(size, 0));
  require_roll(count, shape);
  const Places places(shape);
  std::vector<float> values(count, static_cast<float>(low));
  for (const Note& note : notes) {
    const std::int64_t row = note.pitch - roll.lowest_pitch;
    if (row < 0 || row >= places.pitches || note.start < 0 || note.length < 1 ||
        note.start > places.columns - note.length) {
      throw Error(ErrorKind::usage, "a note of pitch " + std::to_string(note.pitch) + " at sixteenth " +
                                        std::to_string(note.start) + ", " + std::to_string(note.length) +
                                        " long, must lie within pitches " + std::to_string(roll.lowest_pitch) + " to " +
                                        std::to_string(roll.lowest_pitch + places.pitches - 1) +
                                        " and sixteenths 0 to " + std::to_string(places.columns - 1));
    }
    values[places.onset(note.part, row, note.start)] = static_cast<float>(high);
    for (std::int64_t i = 0; i < note.length; ++i)
      values[places.held(note.part, row, note.start + i)] = static_cast<float>(high);
  }
  return values;
}

Picture picture_of_notes(std::span<const Note> notes, std::int64_t pitches, std::int64_t sixteenths, int lowest_pitch) {
  constexpr std::int64_t cell = 6, a_row = 8 * sixteenths_a_bar, gap = 12;
  constexpr Colour black_key{238, 238, 242, 255}, bar_line{190, 190, 200, 255}, beat_line{222, 222, 228, 255};
  constexpr Colour begins[] = {{176, 24, 24, 255}, {24, 56, 150, 255}},
                   sounds[] = {{232, 112, 104, 255}, {112, 148, 228, 255}};
  const std::int64_t rows = (sixteenths + a_row - 1) / a_row, height = pitches * cell;
  Picture picture = blank_picture(std::min(sixteenths, a_row) * cell + 1, rows * (height + gap) - gap, 3);
  const auto fill = [&](std::int64_t left, std::int64_t top, std::int64_t width, std::int64_t tall,
                        const Colour& colour) {
    paste(picture, blank_picture(width, tall, 3, colour), static_cast<int>(left), static_cast<int>(top));
  };
  const auto top_of = [&](std::int64_t row, std::int64_t pitch) {
    return row * (height + gap) + (lowest_pitch + pitches - 1 - pitch) * cell;
  };
  constexpr bool is_black[12] = {false, true, false, true, false, false, true, false, true, false, true, false};
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t columns = std::min(a_row, sixteenths - row * a_row);
    for (std::int64_t pitch = lowest_pitch; pitch < lowest_pitch + pitches; ++pitch) {
      if (is_black[pitch % 12]) fill(0, top_of(row, pitch), columns * cell, cell, black_key);
    }
    for (std::int64_t column = 0; column <= columns; column += 4) {
      const Colour& line = column % sixteenths_a_bar == 0 ? bar_line : beat_line;
      fill(column * cell, row * (height + gap), 1, height, line);
    }
  }
  // The voice comes last and is narrower, so that both are seen where they meet.
  for (const Part part : {Part::piano, Part::voice}) {
    const std::int64_t inset = part == Part::voice ? 1 : 0;
    const std::size_t colour = part == Part::voice ? 0 : 1;
    for (const Note& note : notes) {
      if (note.part != part) continue;
      for (std::int64_t i = 0; i < note.length; ++i) {
        const std::int64_t left = (note.start + i) % a_row * cell;
        const std::int64_t top = top_of((note.start + i) / a_row, note.pitch) + inset;
        const std::int64_t begin = i == 0 ? 1 : 0;
        fill(left + begin, top, cell - begin, cell - 2 * inset, sounds[colour]);
        if (i == 0) fill(left + 1, top, 2, cell - 2 * inset, begins[colour]);
      }
    }
  }
  return picture;
}

}  // namespace onestep
