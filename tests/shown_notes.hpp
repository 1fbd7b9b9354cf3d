#pragma once

#include <ostream>

#include "onestep/score.hpp"

namespace onestep {

/// How a test that fails shows a note.
inline void PrintTo(const Note& note, std::ostream* out) {
  *out << (note.part == Part::voice ? "voice " : "piano ") << note.pitch << " at " << note.start << ", " << note.length
       << " long";
}

}  // namespace onestep
