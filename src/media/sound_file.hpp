#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace onestep {

/// A sample [C, L] as the bytes of a WAV file of `sample_rate` Hz: clamped to [low, high], which become the 16-bit
/// extremes -32767 and 32767. 16-bit because every player reads it, and its rounding lies 98 dB below full scale; a
/// .npy keeps the floats. Throws Error: usage for what a WAV can't hold, numerical for NaN and infinity.
std::vector<std::byte> encode_wav(std::span<const float> values, std::span<const std::int64_t> shape, double low,
                                  double high, int sample_rate);

/// A sound's values [channels, length], nominally in [-1, 1]; at least one.
struct SoundValues {
  std::int64_t channels = 1;
  int rate = 1;  ///< Hz.
  std::vector<float> values;

  std::int64_t length() const { return static_cast<std::int64_t>(values.size()) / channels; }
  double seconds() const { return static_cast<double>(length()) / rate; }
};

/// A WAV or FLAC file of at most 2^26 samples in [-16, 16], 1,000 to 768,000 of each channel a second; of WAV, samples
/// that are not packed. Throws Error (file) for all else, and for what is damaged or cut short; `name` is for messages.
SoundValues decode_sound(std::vector<std::byte> bytes, const std::string& name);

/// The same from a file.
SoundValues read_sound(const std::string& file);

/// The first `count` samples of the sound at `rate` Hz, both 1 or more; behind its end is silence. The first sample
/// stays where it is, and what is above half of the lower rate is gone.
SoundValues resample(const SoundValues& sound, int rate, std::int64_t count);

}  // namespace onestep
