// A WAV or FLAC file: what was read of it is finite, as many values for each channel, and can be put at another rate.
#include <cmath>

#include "only_errors.hpp"
#include "sound_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  only_errors([&] {
    const std::span<const std::byte> bytes = as_bytes(data, size);
    const SoundValues sound = decode_sound({bytes.begin(), bytes.end()}, "sound");
    if (sound.length() < 1 || sound.values.size() % static_cast<std::size_t>(sound.channels) != 0) __builtin_trap();
    for (const SoundValues& each : {sound, resample(sound, 8000, 50)}) {
      for (const float value : each.values) {
        if (!std::isfinite(value)) __builtin_trap();
      }
    }
  });
  return 0;
}
