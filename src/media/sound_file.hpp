#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace onestep {

/// A sample [C, L] as the bytes of a WAV file of `sample_rate` Hz: clamped to [low, high], which become the 16-bit
/// extremes -32767 and 32767. 16-bit because every player reads it, and its rounding lies 98 dB below full scale; a
/// .npy keeps the floats. Throws Error: usage for what a WAV can't hold, numerical for NaN and infinity.
std::vector<std::byte> encode_wav(std::span<const float> values, std::span<const std::int64_t> shape, double low,
                                  double high, int sample_rate);

}  // namespace onestep
