#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "picture.hpp"

namespace onestep {

/// What a sound [C, L] of values in [low, high] looks like, under a line of text, if any: its waveform, and below it
/// how loud each frequency is: from half of the rate, above, eight octaves down; from 80 dB below full scale, black, to
/// full scale, white. Throws Error: usage for another shape, numerical for NaN and infinity.
Picture picture_of_sound(std::span<const float> values, std::span<const std::int64_t> shape, double low, double high,
                         double rate, std::string caption = {});

}  // namespace onestep
