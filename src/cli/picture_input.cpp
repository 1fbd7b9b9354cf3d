#include "picture_input.hpp"

#include <algorithm>

#include "onestep/error.hpp"

namespace onestep {

void PictureInput::add_to(CLI::App& command) {
  static const std::map<std::string, Fit> fits{{"crop", Fit::crop}, {"pad", Fit::pad}, {"stretch", Fit::stretch}};
  command
      .add_option("--fit", fit_,
                  "a picture of another size: crop about its middle, pad or stretch it (default: it is refused)")
      ->transform(CLI::Transformer(fits).description(""))
      ->type_name("crop|pad|stretch");
}

PictureValues PictureInput::fitted(PictureValues picture, const std::string& file,
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

InputSample PictureInput::read(const PictureValues& of_any_size, const std::string& file,
                               const std::vector<std::int64_t>& shape, const ModelInfo& info) const {
  InputSample sample{{}, {}, of_any_size.width, of_any_size.height};
  const PictureValues picture = fitted(of_any_size, file, shape);
  sample.values = to_sample(picture, shape[0], info.data.range_low, info.data.range_high, file);
  sample.there.assign(static_cast<std::size_t>(shape[1] * shape[2]), true);
  if (shape[0] == 4) return sample;
  for (std::size_t p = 0; p < picture.opacity.size(); ++p) sample.there[p] = picture.opacity[p] >= 0.5F;
  return sample;
}

InputMask PictureInput::read_mask(const PictureValues& of_any_size, const std::string& file,
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
