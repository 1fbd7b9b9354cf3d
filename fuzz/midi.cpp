// A MIDI file: what was read of it is within its bounds, is written, and reads the same again.
#include "midi.hpp"

#include <algorithm>

#include "only_errors.hpp"
#include "roll.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  constexpr PitchRange pitches{31, 64};
  MidiFile read;
  only_errors([&] { read = parse_midi(as_bytes(data, size), "a.mid", pitches); });
  if (read.score.notes.empty()) return 0;
  const std::int64_t sixteenths = bars_of(read.score) * sixteenths_a_bar;
  if (sixteenths > most_bars * sixteenths_a_bar) __builtin_trap();
  // Every note is within the roll and told from the next of its pitch: none is lost in it.
  const RollInfo roll{.lowest_pitch = pitches.lowest};
  const std::vector<std::int64_t> shape{4, pitches.count, std::min<std::int64_t>(sixteenths, 64 * sixteenths_a_bar)};
  if (shape[2] == sixteenths) {
    const std::vector<float> values = roll_of_notes(read.score.notes, shape, 0, 1, roll);
    if (notes_of_roll(values, shape, 0, 1, roll) != read.score.notes) __builtin_trap();
  }
  const MidiFile again = parse_midi(encode_midi(read.score), "a.mid", pitches);
  // A file without a voice has one when it is read again: the highest notes.
  const bool sung = read.score.notes.front().part == Part::voice;
  if (sung && again.score.notes != read.score.notes) __builtin_trap();
  return 0;
}
