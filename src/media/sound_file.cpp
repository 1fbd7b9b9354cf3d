#include "sound_file.hpp"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numbers>
#include <string_view>

#include "input_file.hpp"
#include "onestep/error.hpp"
#include "values.hpp"

namespace onestep {
namespace {

/// A file in memory, as libsndfile's virtual files are. What is written to it fits what is reserved: no exception
/// passes through libsndfile.
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

sf_count_t read_memory(void* data, sf_count_t count, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  if (memory.at < 0 || count < 0) return 0;
  const sf_count_t here = std::min(count, std::max<sf_count_t>(memory_size(user) - memory.at, 0));
  if (here > 0) std::memcpy(data, memory.bytes.data() + memory.at, static_cast<std::size_t>(here));
  memory.at += here;
  return here;
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

constexpr std::int64_t most_samples = std::int64_t{1} << 26;
constexpr int lowest_rate = 1000, highest_rate = 768'000;
constexpr float loudest = 16;

bool is_packed(int format) {
  switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
    case SF_FORMAT_PCM_16:
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_FLOAT:
    case SF_FORMAT_DOUBLE:
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW:
      return false;
  }
  return true;
}

/// Whether a RIFF file says that it goes on behind its end. Programs that write to a pipe leave the size open; some
/// count a byte of padding that they leave out.
bool is_cut_short(const std::vector<std::byte>& bytes) {
  std::uint64_t size = 0;
  for (int i = 3; i >= 0; --i) size = size << 8 | std::to_integer<std::uint64_t>(bytes[4 + i]);
  return size != 0xffffffff && size + 8 > bytes.size() + 1;
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

SoundValues decode_sound(std::vector<std::byte> bytes, const std::string& name) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, name + ": " + what); };
  const auto has = [&](std::size_t at, std::string_view text) {
    return bytes.size() >= at + text.size() && std::memcmp(bytes.data() + at, text.data(), text.size()) == 0;
  };
  const bool wav = has(0, "RIFF") && has(8, "WAVE");
  if (!wav && !has(0, "fLaC")) fail("is no WAV or FLAC sound; convert it");
  if (wav && is_cut_short(bytes)) fail("is cut short; copy or make it again");

  Memory memory{std::move(bytes)};
  SF_VIRTUAL_IO io{memory_size, seek_memory, read_memory, nullptr, tell_memory};
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, decltype(&sf_close)> file(sf_open_virtual(&io, SFM_READ, &info, &memory), sf_close);
  const auto fail_damaged = [&](SNDFILE* sound) {
    fail("is damaged (" + std::string(sf_strerror(sound)) + "); copy or make it again");
  };
  if (!file) fail_damaged(nullptr);
  if (wav && is_packed(info.format)) fail("is a WAV with packed samples; convert it to one of PCM or to FLAC");
  if (info.samplerate < lowest_rate || info.samplerate > highest_rate) {
    fail("has " + std::to_string(info.samplerate) + " samples a second; 1000 to 768000 can be read; convert it");
  }

  SoundValues sound{.channels = info.channels, .rate = info.samplerate, .values = {}};
  // Moment after moment, and no more memory than there are samples, whatever the header says.
  const auto channels = static_cast<std::size_t>(info.channels);
  constexpr std::size_t block = 1 << 14;
  std::vector<float> moments;
  for (sf_count_t got = 1; got > 0;) {
    const std::size_t before = moments.size();
    moments.resize(before + block * channels);
    got = std::max<sf_count_t>(sf_readf_float(file.get(), moments.data() + before, block), 0);
    moments.resize(before + static_cast<std::size_t>(got) * channels);
    if (static_cast<std::int64_t>(moments.size()) > most_samples)
      fail("has more than " + std::to_string(most_samples) + " samples; cut it");
  }
  if (sf_error(file.get()) != SF_ERR_NO_ERROR) fail_damaged(file.get());
  if (moments.empty()) fail("has no samples; record or make it again");
  const std::size_t length = moments.size() / channels;
  // A FLAC that was written to a pipe doesn't say.
  const bool says = info.frames > 0 && info.frames < SF_COUNT_MAX;
  if (says && static_cast<std::size_t>(info.frames) != length) fail("is cut short; copy or make it again");
  sound.values.resize(moments.size());
  for (std::size_t i = 0; i < moments.size(); ++i) {
    // NaN too; and numbers that were never scaled, such as those of 16 bits.
    if (!(std::abs(moments[i]) <= loudest)) {
      fail("holds " + std::to_string(moments[i]) + " at sample " + std::to_string(i / channels) +
           "; samples lie in [-16, 16], and 1 is full scale: scale it");
    }
    sound.values[i % channels * length + i / channels] = moments[i];
  }
  return sound;
}

SoundValues read_sound(const std::string& file) {
  InputFile input(file);
  // As many bytes as the most samples have as 64-bit numbers.
  constexpr std::uint64_t most = most_samples * sizeof(double);
  if (input.size > most) {
    throw Error(ErrorKind::file, file + ": has " + std::to_string(input.size) + " bytes, but sounds of at most " +
                                     std::to_string(most) + " are read; cut it");
  }
  std::vector<std::byte> bytes(input.size);
  input.stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(input.stream.gcount()));
  return decode_sound(std::move(bytes), file);
}

SoundValues resample(const SoundValues& sound, int rate, std::int64_t count) {
  if (rate < 1 || count < 1) {
    throw Error(ErrorKind::usage,
                "rate = " + std::to_string(rate) + " and count = " + std::to_string(count) + " must be 1 or more");
  }
  const std::int64_t length = sound.length();
  SoundValues result{.channels = sound.channels, .rate = rate, .values = {}};
  result.values.resize(static_cast<std::size_t>(sound.channels * count));
  if (rate == sound.rate) {
    for (std::int64_t c = 0; c < sound.channels; ++c)
      std::copy_n(sound.values.begin() + c * length, std::min(length, count), result.values.begin() + c * count);
    return result;
  }
  // A sinc of 64 zero crossings a side under a window of Blackman and Harris: what is below 0.88 of half the lower rate
  // stays, what is above that half is 90 dB down.
  constexpr double crossings = 64;
  const double step = double(sound.rate) / rate, cutoff = 0.94 * std::min(1.0, 1 / step), reach = crossings / cutoff;
  for (std::int64_t i = 0; i < count; ++i) {
    const double place = static_cast<double>(i) * step;
    const auto first = std::max<std::int64_t>(static_cast<std::int64_t>(std::ceil(place - reach)), 0);
    const auto last = std::min<std::int64_t>(static_cast<std::int64_t>(std::floor(place + reach)), length - 1);
    for (std::int64_t k = first; k <= last; ++k) {
      const double away = std::numbers::pi * (static_cast<double>(k) - place), turn = away / reach;
      const double sinc = away == 0 ? 1 : std::sin(cutoff * away) / (cutoff * away);
      const double window =
          0.35875 + 0.48829 * std::cos(turn) + 0.14128 * std::cos(2 * turn) + 0.01168 * std::cos(3 * turn);
      const auto weight = static_cast<float>(cutoff * sinc * window);
      for (std::int64_t c = 0; c < sound.channels; ++c)
        result.values[c * count + i] += weight * sound.values[c * length + k];
    }
  }
  return result;
}

}  // namespace onestep
