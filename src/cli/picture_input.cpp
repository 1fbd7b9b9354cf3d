#include "picture_input.hpp"

#include <algorithm>

#include "onestep/error.hpp"

namespace onestep {
namespace {

/// A colour picture may hold grey values, as many programs save them.
bool is_grey(const PictureValues& picture) {
  for (std::size_t i = 0; i < picture.values.size(); i += 3) {
    if (picture.values[i] != picture.values[i + 1] || picture.values[i] != picture.values[i + 2]) return false;
  }
  return true;
}

}  // namespace

void PictureInput::add_to(CLI::App& command) {
  static const std::map<std::string, Fit> fits{{"crop", Fit::crop}, {"pad", Fit::pad}, {"stretch", Fit::stretch}};
  command
      .add_option("--fit", fit_,
                  "a picture of another size: crop about its middle, pad or stretch it (default: it is refused)")
      ->transform(CLI::Transformer(fits))
      ->type_name("");
}

InputSample PictureInput::read(const std::string& file, const std::vector<std::int64_t>& shape,
                               const ModelInfo& info) const {
  PictureValues picture = read_picture_values(file);
  InputSample sample{{}, {}, picture.width, picture.height};
  const int width = static_cast<int>(shape[2]), height = static_cast<int>(shape[1]);
  if (picture.channels > shape[0] && !is_grey(picture)) {
    throw Error(ErrorKind::file,
                file + ": is in colour, but " + info.name + " makes grey pictures; make it grey first");
  }
  if (picture.width != width || picture.height != height) {
    if (!fit_) {
      throw Error(ErrorKind::file, file + ": has " + std::to_string(picture.width) + " x " +
                                       std::to_string(picture.height) + " pixels; it must have " +
                                       std::to_string(width) + " x " + std::to_string(height) +
                                       ": --fit crop, pad or stretch makes it so");
    }
    picture = fit_picture(picture, width, height, *fit_);
  }
  const std::size_t pixels = std::size_t(width) * height;
  for (std::int64_t c = 0; c < shape[0]; ++c) {
    for (std::size_t p = 0; p < pixels; ++p) {
      const double part = picture.values[p * picture.channels + c % picture.channels];
      sample.values.push_back(
          static_cast<float>(info.data.range_low + part * (info.data.range_high - info.data.range_low)));
    }
  }
  sample.there.assign(pixels, true);
  for (std::size_t p = 0; p < picture.opacity.size(); ++p) sample.there[p] = picture.opacity[p] >= 0.5F;
  return sample;
}

}  // namespace onestep
