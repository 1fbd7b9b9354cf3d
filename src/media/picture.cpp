#include "picture.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "onestep/error.hpp"
#include "values.hpp"

namespace onestep {
namespace {

std::string size_text(const Picture& picture) {
  return std::to_string(picture.width) + " x " + std::to_string(picture.height);
}

void require_picture_channels(std::span<const std::int64_t> shape) {
  if (shape[0] == 1 || shape[0] == 3 || shape[0] == 4) return;
  throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " has " + std::to_string(shape[0]) +
                                    " channels, but a picture has 1, 3 or 4; write such samples to .npy or .npz");
}

}  // namespace

Picture blank_picture(std::int64_t width, std::int64_t height, int channels, Colour colour) {
  // The longest side that libpng writes; the bytes are far more than a screen shows and far less than memory holds.
  constexpr std::int64_t longest = 1'000'000, most = std::int64_t{1} << 30;
  if (width < 1 || height < 1 || width > longest || height > longest || width * height > most / channels) {
    throw Error(ErrorKind::usage, "a picture of " + std::to_string(width) + " x " + std::to_string(height) +
                                      " pixels can't be made: sides must be in [1, 1000000], and " +
                                      "the whole at most 2^30 bytes; ask for fewer or smaller tiles");
  }
  Picture picture{static_cast<int>(width), static_cast<int>(height), channels, {}};
  picture.pixels.resize(static_cast<std::size_t>(width * height * channels));
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = colour[i % channels];
  return picture;
}

std::vector<Picture> to_frames(std::span<const float> values, std::span<const std::int64_t> shape, double low,
                               double high) {
  if (shape.size() != 4) throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " must be [C, T, H, W]");
  require_picture_channels(shape);
  require_shape(values.size(), shape);
  require_range(low, high);
  const std::int64_t channels = shape[0], times = shape[1], height = shape[2], width = shape[3];
  std::vector<Picture> frames;
  for (std::int64_t t = 0; t < times; ++t) {
    Picture& frame = frames.emplace_back(blank_picture(width, height, static_cast<int>(channels)));
    // Planes become interleaved pixels.
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto plane = values.subspan((c * times + t) * height * width, height * width);
      for (std::size_t i = 0; i < plane.size(); ++i) {
        frame.pixels[i * channels + c] = static_cast<std::uint8_t>(std::lround(255 * fraction(plane[i], low, high)));
      }
    }
  }
  return frames;
}

Picture to_picture(std::span<const float> values, std::span<const std::int64_t> shape, double low, double high) {
  if (shape.size() != 3) throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " must be [C, H, W]");
  require_picture_channels(shape);
  require_shape(values.size(), shape);
  return to_frames(values, std::vector{shape[0], std::int64_t{1}, shape[1], shape[2]}, low, high).front();
}

Picture enlarge(const Picture& picture, int factor) {
  if (factor < 1) throw Error(ErrorKind::usage, "enlarge = " + std::to_string(factor) + " must be 1 or more");
  Picture large =
      blank_picture(std::int64_t{factor} * picture.width, std::int64_t{factor} * picture.height, picture.channels);
  auto pixel = large.pixels.begin();
  for (int y = 0; y < large.height; ++y) {
    for (int x = 0; x < large.width; ++x) {
      const std::size_t from = (std::size_t(y / factor) * picture.width + x / factor) * picture.channels;
      pixel = std::copy_n(picture.pixels.begin() + from, picture.channels, pixel);
    }
  }
  return large;
}

void paste(Picture& canvas, const Picture& tile, int x, int y) {
  if (tile.channels > canvas.channels || x < 0 || y < 0 || x > canvas.width - tile.width ||
      y > canvas.height - tile.height) {
    throw Error(ErrorKind::usage, "a tile of " + size_text(tile) + " at (" + std::to_string(x) + ", " +
                                      std::to_string(y) + ") must fit a canvas of " + size_text(canvas) +
                                      " with as many channels or more");
  }
  for (int row = 0; row < tile.height; ++row) {
    for (int column = 0; column < tile.width; ++column) {
      const std::uint8_t* from = &tile.pixels[(std::size_t(row) * tile.width + column) * tile.channels];
      std::uint8_t* to = &canvas.pixels[(std::size_t(y + row) * canvas.width + x + column) * canvas.channels];
      for (int c = 0; c < canvas.channels; ++c) {
        to[c] = c == 3 && tile.channels < 4 ? 255 : from[tile.channels == 1 ? 0 : c];
      }
    }
  }
}

Picture grid(const std::vector<Picture>& pictures, int columns, int gap, Colour colour) {
  if (pictures.empty()) throw Error(ErrorKind::usage, "a grid needs at least one picture");
  if (columns < 0 || gap < 0) {
    throw Error(ErrorKind::usage,
                "columns = " + std::to_string(columns) + " and gap = " + std::to_string(gap) + " must not be negative");
  }
  const Picture& first = pictures.front();
  for (const Picture& picture : pictures) {
    if (picture.width != first.width || picture.height != first.height || picture.channels != first.channels) {
      throw Error(ErrorKind::usage, "the pictures of a grid must have one size and one number of channels, not " +
                                        size_text(first) + " and " + size_text(picture));
    }
  }
  const auto count = static_cast<std::int64_t>(pictures.size());
  std::int64_t across = columns > 0 ? std::min<std::int64_t>(columns, count) : 1;
  while (columns == 0 && across * across < count) ++across;
  const std::int64_t down = (count + across - 1) / across;
  Picture sheet = blank_picture(across * (first.width + std::int64_t{gap}) + gap,
                                down * (first.height + std::int64_t{gap}) + gap, first.channels, colour);
  for (std::int64_t i = 0; i < count; ++i) {
    paste(sheet, pictures[i], static_cast<int>(gap + i % across * (first.width + gap)),
          static_cast<int>(gap + i / across * (first.height + gap)));
  }
  return sheet;
}

}  // namespace onestep
