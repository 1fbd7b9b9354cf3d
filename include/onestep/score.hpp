#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "onestep/model_info.hpp"

namespace onestep {

/// Of a bar of 4/4.
inline constexpr std::int64_t sixteenths_a_bar = 16;
/// Of a piece.
inline constexpr std::int64_t most_bars = 1024;
/// The least tempo, quarter notes a minute.
inline constexpr double slowest_tempo = 10;
/// The greatest.
inline constexpr double fastest_tempo = 400;

/// What sings, and what plays.
enum class Part { voice, piano };

/// A note of a piece.
struct Note {
  Part part = Part::voice;                        ///< Whose it is.
  std::int64_t start = 0;                         ///< Sixteenths from the beginning of the piece, >= 0.
  std::int64_t length = 1;                        ///< Sixteenths, >= 1.
  int pitch = 60;                                 ///< MIDI, in [0, 127]: 60 is the middle C.
  auto operator<=>(const Note&) const = default;  ///< In the order of the members.
};

/// A piece in 4/4.
struct Score {
  std::vector<Note> notes;  ///< By part, start and pitch.
  double tempo = 100;       ///< Quarter notes a minute.
};

/// Bars up to the end of the last note.
std::int64_t bars_of(const Score& score);

/// The key whose profile its notes are most like (Krumhansl & Kessler 1982): 0 to 11 for C major to B major, 12 to 23
/// for C minor to B minor. None for a score without notes.
std::optional<std::int64_t> key_of(const Score& score);

/// A MIDI file, as music of 4/4 on a grid of sixteenths.
struct MidiFile {
  Score score;         ///< What was read.
  std::string remark;  ///< In one line, what was left out or moved; empty: nothing.
};

/// A standard MIDI file of format 0 or 1. The voice is the first track whose name says so (voice, melody, vocal, lead,
/// solo and the like), else the highest of the notes that sound together; all else is the piano's. Bars of 2/4 are
/// taken two at a time. Left out: drums, notes beyond the pitches of the model, second notes at one place. Throws Error
/// (file), also on another time than 4/4, 2/2 and 2/4, more than 64 tracks, 1024 bars or 16 MiB; usage for a model of
/// no music.
MidiFile read_midi(const std::string& file, const ModelInfo& info);

}  // namespace onestep
