#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb/stb_image_resize.h>

#include <algorithm>
#include <cmath>
#include <new>

#include "picture_file.hpp"

namespace onestep {
namespace {

/// A rectangle as shares of the picture.
struct Region {
  float left = 0, top = 0, right = 1, bottom = 1;
};

std::vector<float> resample(const std::vector<float>& values, const PictureValues& picture, int channels,
                            const Region& region, int width, int height) {
  std::vector<float> resized(std::size_t(width) * height * channels);
  const int done = stbir_resize_region(
      values.data(), picture.width, picture.height, 0, resized.data(), width, height, 0, STBIR_TYPE_FLOAT, channels,
      STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_EDGE_CLAMP, STBIR_FILTER_DEFAULT, STBIR_FILTER_DEFAULT,
      STBIR_COLORSPACE_LINEAR, nullptr, region.left, region.top, region.right, region.bottom);
  if (!done) throw std::bad_alloc();
  // The filters overshoot at edges.
  for (float& value : resized) value = std::clamp(value, 0.0F, 1.0F);
  return resized;
}

PictureValues resample(const PictureValues& picture, const Region& region, int width, int height) {
  PictureValues resized{width, height, picture.channels, {}, {}};
  resized.values = resample(picture.values, picture, picture.channels, region, width, height);
  if (!picture.opacity.empty()) resized.opacity = resample(picture.opacity, picture, 1, region, width, height);
  return resized;
}

/// The middle of the picture, of the sides' ratio asked for.
Region middle(const PictureValues& picture, int width, int height) {
  const double wide = double(picture.width) * height, high = double(picture.height) * width;
  const auto spare_x = static_cast<float>(wide > high ? (1 - high / wide) / 2 : 0);
  const auto spare_y = static_cast<float>(high > wide ? (1 - wide / high) / 2 : 0);
  return {spare_x, spare_y, 1 - spare_x, 1 - spare_y};
}

PictureValues pad(const PictureValues& picture, int width, int height) {
  const double scale = std::min(double(width) / picture.width, double(height) / picture.height);
  const int inner_width = std::max(1, static_cast<int>(std::lround(picture.width * scale)));
  const int inner_height = std::max(1, static_cast<int>(std::lround(picture.height * scale)));
  PictureValues inner = resample(picture, {}, inner_width, inner_height);
  if (inner.opacity.empty()) inner.opacity.assign(std::size_t(inner_width) * inner_height, 1);

  PictureValues padded{width, height, picture.channels, {}, {}};
  padded.values.assign(std::size_t(width) * height * picture.channels, 0);
  padded.opacity.assign(std::size_t(width) * height, 0);
  const int left = (width - inner_width) / 2, top = (height - inner_height) / 2;
  for (int y = 0; y < inner_height; ++y) {
    const auto to = std::ptrdiff_t(top + y) * width + left, from = std::ptrdiff_t(y) * inner_width;
    std::copy_n(inner.opacity.begin() + from, inner_width, padded.opacity.begin() + to);
    std::copy_n(inner.values.begin() + from * picture.channels, std::ptrdiff_t(inner_width) * picture.channels,
                padded.values.begin() + to * picture.channels);
  }
  return padded;
}

}  // namespace

PictureValues fit_picture(const PictureValues& picture, int width, int height, Fit fit) {
  if (picture.width == width && picture.height == height) return picture;
  switch (fit) {
    case Fit::crop:
      return resample(picture, middle(picture, width, height), width, height);
    case Fit::pad:
      return pad(picture, width, height);
    case Fit::stretch:
      return resample(picture, {}, width, height);
  }
  return picture;
}

}  // namespace onestep
