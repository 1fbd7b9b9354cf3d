#include "input_fit.hpp"

#include <algorithm>
#include <cmath>

#include "onestep/error.hpp"
#include "terminal.hpp"

namespace onestep {

void InputFit::add_to(CLI::App& command) {
  static const std::map<std::string, Fit> fits{{"crop", Fit::crop}, {"pad", Fit::pad}, {"stretch", Fit::stretch}};
  command
      .add_option(
          "--fit", fit_,
          "a picture of another size: crop about its middle, pad or stretch it; a sound of another length: crop "
          "its end or pad it with silence (default: it is refused)")
      ->transform(CLI::Transformer(fits).description(""))
      ->type_name("crop|pad|stretch");
}

PictureValues InputFit::fitted(PictureValues picture, const std::string& file,
                               const std::vector<std::int64_t>& shape) const {
  const int width = static_cast<int>(shape[2]), height = static_cast<int>(shape[1]);
  if (picture.width == width && picture.height == height) return picture;
  if (!fit_) {
    throw Error(ErrorKind::file, file + ": has " + std::to_string(picture.width) + " x " +
                                     std::to_string(picture.height) + " pixels; it must have " + std::to_string(width) +
                                     " x " + std::to_string(height) + ": --fit crop, pad or stretch makes it so");
  }
  return fit_picture(picture, width, height, *fit_);
}

InputSample InputFit::read(const PictureValues& of_any_size, const std::string& file,
                           const std::vector<std::int64_t>& shape, const ModelInfo& info) const {
  InputSample sample{{}, {}, of_any_size.width, of_any_size.height};
  const PictureValues picture = fitted(of_any_size, file, shape);
  sample.values = to_sample(picture, shape[0], info.data.range_low, info.data.range_high, file);
  sample.there.assign(static_cast<std::size_t>(shape[1] * shape[2]), true);
  if (shape[0] == 4) return sample;
  for (std::size_t p = 0; p < picture.opacity.size(); ++p) sample.there[p] = picture.opacity[p] >= 0.5F;
  return sample;
}

InputSample InputFit::read(const SoundValues& sound, const std::string& name, const ModelInfo& info) const {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, name + ": " + what); };
  if (fit_ == Fit::stretch) {
    throw Error(ErrorKind::usage,
                "--fit stretch is for pictures: it would change a sound's pitch; crop cuts its end, " +
                    std::string("pad adds silence"));
  }
  const std::int64_t channels = info.data.shape[0], length = info.data.shape[1];
  if (sound.channels != channels && sound.channels != 1 && channels != 1) {
    fail("has " + std::to_string(sound.channels) + " channels; " + info.name + " has " + std::to_string(channels) +
         ": give it as many, or one");
  }
  const auto rate = static_cast<int>(std::lround(info.data.rate));
  // As long as the file is, at the model's rate.
  const auto found = std::llround(double(sound.length()) * rate / sound.rate);
  const auto text_of = [&](std::int64_t samples) {
    return fixed(double(samples) / rate, 3) + " s (" + std::to_string(samples) + " samples at " + std::to_string(rate) +
           " Hz)";
  };
  if (found > length && fit_ != Fit::crop)
    fail("lasts " + text_of(found) + "; it must last " + text_of(length) + ": --fit crop cuts its end");
  if (found < length && fit_ != Fit::pad)
    fail("lasts " + text_of(found) + "; it must last " + text_of(length) + ": --fit pad adds silence");

  const SoundValues fitted = resample(sound, rate, length);
  InputSample sample;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t i = 0; i < length; ++i) {
      double value = fitted.values[(sound.channels == channels ? c : 0) * length + i];
      // The mean, with which nothing is louder than it was.
      if (channels == 1) {
        for (std::int64_t other = 1; other < sound.channels; ++other) value += fitted.values[other * length + i];
        value /= static_cast<double>(sound.channels);
      }
      sample.values.push_back(
          static_cast<float>(info.data.range_low + (value + 1) / 2 * (info.data.range_high - info.data.range_low)));
    }
  }
  for (std::int64_t i = 0; i < length; ++i) sample.there.push_back(i < found);
  std::vector<std::string> changes;
  if (sound.rate != rate)
    changes.push_back("resampled from " + std::to_string(sound.rate) + " to " + std::to_string(rate) + " Hz");
  if (sound.channels != channels)
    changes.push_back(std::to_string(sound.channels) + (sound.channels == 1 ? " channel" : " channels") + " made " +
                      std::to_string(channels));
  if (!changes.empty()) sample.remark = name + ": " + CLI::detail::join(changes, ", ");
  return sample;
}

InputMask InputFit::read_mask(const PictureValues& of_any_size, const std::string& file,
                              const std::vector<std::int64_t>& shape) const {
  InputMask mask{{}, of_any_size.width, of_any_size.height};
  const PictureValues picture = fitted(of_any_size, file, shape);
  for (std::size_t p = 0; p < picture.values.size(); p += picture.channels) {
    const float red = picture.values[p], green = picture.values[p + picture.channels / 2],
                blue = picture.values[p + picture.channels - 1];
    // JPEG gives grey edges a tinge; what is coloured beyond that could mean either.
    if (std::max({red, green, blue}) - std::min({red, green, blue}) > 0.25F) {
      const std::size_t pixel = p / picture.channels;
      throw Error(ErrorKind::file, file + ": is in colour at (" + std::to_string(pixel % picture.width) + ", " +
                                       std::to_string(pixel / picture.width) +
                                       "), counted from the upper left; a mask is white where the picture is drawn, " +
                                       "black where it is kept");
    }
    mask.drawn.push_back(0.299F * red + 0.587F * green + 0.114F * blue >= 0.5F);
  }
  return mask;
}

}  // namespace onestep
