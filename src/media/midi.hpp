#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "onestep/score.hpp"

namespace onestep {

/// The pitches that a model knows.
struct PitchRange {
  int lowest = 0;
  std::int64_t count = 128;
};

/// How General MIDI plays a part.
struct Instrument {
  int channel, program, velocity;
};
constexpr Instrument instrument_of(Part part) {
  constexpr int flute = 73, grand_piano = 0;
  return part == Part::voice ? Instrument{0, flute, 88} : Instrument{1, grand_piano, 68};
}

/// A key that is struck, or let go.
struct KeyStroke {
  std::int64_t time;  ///< Sixteenths.
  bool begins;
  Part part;
  int pitch;
  auto operator<=>(const KeyStroke&) const = default;
};
/// In time. What ends comes before what begins at the same time: a note may be struck again.
std::vector<KeyStroke> strokes_of(const Score& score);

/// As read_midi, of the bytes of a file; `name` is for messages. Throws Error (file).
MidiFile parse_midi(std::span<const std::byte> bytes, const std::string& name, const PitchRange& pitches);

/// A MIDI file of format 1, 480 ticks a quarter note: a track with tempo and time, one for each part.
/// Tempo in [10, 400]: Error (usage).
std::vector<std::byte> encode_midi(const Score& score);

/// One note of a part at a place, the longest, and each ends where the next of its pitch begins; by part, start and
/// pitch. The number of those that are gone.
std::size_t settle(std::vector<Note>& notes);

/// Throws Error (usage).
void require_tempo(double tempo);

}  // namespace onestep
