#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "onestep/score.hpp"

namespace onestep {

inline constexpr int synthesizer_rate = 44'100;  // Hz

/// Whether there is one: onestep was built with FluidSynth, and Debian's default soundfont is there.
bool has_synthesizer();

/// A score as FluidSynth plays it with a soundfont (.sf2; empty: Debian's default one): [2, L] in [-1, 1], the loudest
/// at 0.9, `sixteenths` long and two seconds more, in which it dies away. Throws Error: usage where onestep was built
/// without FluidSynth, and for more than an hour; file where the soundfont can't be read.
std::vector<float> play(const Score& score, std::int64_t sixteenths, const std::string& soundfont);

}  // namespace onestep
