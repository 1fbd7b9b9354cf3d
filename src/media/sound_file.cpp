#include "sound_file.hpp"

#include <sndfile.h>

#include <cerrno>
#include <cmath>
#include <memory>
#include <vector>

#include "onestep/error.hpp"
#include "output_file.hpp"
#include "values.hpp"

namespace onestep {

void write_wav(const std::string& file, std::span<const float> values, std::span<const std::int64_t> shape, double low,
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

  OutputFile output(file);
  SF_INFO info{};
  info.samplerate = sample_rate;
  info.channels = static_cast<int>(channels);
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  const auto fail = [&](SNDFILE* sound) {
    if (errno != 0) output.fail(errno);
    throw Error(ErrorKind::file, file + ": can't be written: " + sf_strerror(sound));
  };
  errno = 0;
  std::unique_ptr<SNDFILE, decltype(&sf_close)> sound(sf_open_fd(output.descriptor(), SFM_WRITE, &info, SF_FALSE),
                                                      sf_close);
  if (!sound) fail(nullptr);
  const auto count = static_cast<sf_count_t>(length);
  if (sf_writef_short(sound.get(), frames.data(), count) != count) fail(sound.get());
  // Closing writes the header again, with the length.
  if (sf_close(sound.release()) != 0) fail(nullptr);
  output.commit();
}

}  // namespace onestep
