#include "sound_file.hpp"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "onestep/error.hpp"
#include "values.hpp"

namespace onestep {
namespace {

/// A file in memory, as libsndfile's virtual files are. What it writes fits what is reserved: no exception passes
/// through it.
struct Memory {
  std::vector<std::byte> bytes;
  sf_count_t at = 0;
};

sf_count_t memory_size(void* user) { return static_cast<sf_count_t>(static_cast<Memory*>(user)->bytes.size()); }
sf_count_t tell_memory(void* user) { return static_cast<Memory*>(user)->at; }

sf_count_t seek_memory(sf_count_t offset, int whence, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  return memory.at = offset + (whence == SEEK_SET ? 0 : whence == SEEK_CUR ? memory.at : memory_size(user));
}

sf_count_t write_memory(const void* data, sf_count_t count, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  const auto end = static_cast<std::size_t>(memory.at + count);
  if (end > memory.bytes.capacity()) return 0;
  memory.bytes.resize(std::max(memory.bytes.size(), end));
  std::memcpy(memory.bytes.data() + memory.at, data, static_cast<std::size_t>(count));
  memory.at += count;
  return count;
}

}  // namespace

std::vector<std::byte> encode_wav(std::span<const float> values, std::span<const std::int64_t> shape, double low,
                                  double high, int sample_rate) {
  if (shape.size() != 2) throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " must be [C, L]");
  require_shape(values.size(), shape);
  require_range(low, high);
  // libsndfile's most channels; the header counts bytes in 32 bits, its own 44 among them.
  if (shape[0] < 1 || shape[0] > 1024 || values.size() > (0xffffffff - 44) / sizeof(std::int16_t)) {
    throw Error(ErrorKind::usage, "shape = " + shape_text(shape) +
                                      " does not fit a WAV, which holds 1 to 1024 channels and 4 GiB; write .npy");
  }
  if (sample_rate < 1) {
    throw Error(ErrorKind::usage, "sample_rate = " + std::to_string(sample_rate) + " must be at least 1 Hz");
  }

  // Channel after channel becomes moment after moment.
  const std::size_t channels = shape[0], length = shape[1];
  std::vector<std::int16_t> frames(values.size());
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t i = 0; i < length; ++i) {
      const double level = 2 * fraction(values[c * length + i], low, high) - 1;
      frames[i * channels + c] = static_cast<std::int16_t>(std::lround(32767 * level));
    }
  }

  Memory memory;
  memory.bytes.reserve(values.size() * sizeof(std::int16_t) + 1024);
  SF_VIRTUAL_IO io{memory_size, seek_memory, nullptr, write_memory, tell_memory};
  SF_INFO info{};
  info.samplerate = sample_rate;
  info.channels = static_cast<int>(channels);
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  const auto require = [](bool done, SNDFILE* sound) {
    if (done) return;
    throw Error(ErrorKind::usage, "the sound can't be made a WAV: " + std::string(sf_strerror(sound)));
  };
  std::unique_ptr<SNDFILE, decltype(&sf_close)> sound(sf_open_virtual(&io, SFM_WRITE, &info, &memory), sf_close);
  require(sound != nullptr, nullptr);
  const auto count = static_cast<sf_count_t>(length);
  require(sf_writef_short(sound.get(), frames.data(), count) == count, sound.get());
  // Closing writes the header again, with the length.
  require(sf_close(sound.release()) == 0, nullptr);
  return std::move(memory.bytes);
}

}  // namespace onestep
