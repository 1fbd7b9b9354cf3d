#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace onestep {

/// Writes a sample [C, L] as a WAV file of `sample_rate` Hz: clamped to [low, high], which become the 16-bit extremes
/// -32767 and 32767. 16-bit because every player reads it, and its rounding lies 98 dB below full scale; a .npy keeps
/// the floats. Throws Error: usage for what a WAV can't hold, numerical for NaN and infinity, file where the file can't
/// be written.
void write_wav(const std::string& file, std::span<const float> values, std::span<const std::int64_t> shape, double low,
               double high, int sample_rate);

}  // namespace onestep
