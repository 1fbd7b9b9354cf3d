#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace onestep {

/// Bytes [height, width, channels], rows from top to bottom; channels: 1 (grey), 3 (red, green,
/// blue) or 4 (and opacity).
struct Picture {
  int width = 0, height = 0, channels = 1;
  std::vector<std::uint8_t> pixels;
};

using Colour = std::array<std::uint8_t, 4>;  ///< Red, green, blue, opacity.
constexpr Colour white{255, 255, 255, 255}, invisible{0, 0, 0, 0};

/// A picture of one colour; of a grey picture, `colour`'s red is the grey. Sizes in [1, 1000000], 2^30 bytes at most:
/// Error (usage).
Picture blank_picture(std::int64_t width, std::int64_t height, int channels, Colour colour = white);

/// A sample [C, H, W] as a picture: clamped to [low, high], which become 0 and 255, rounded to the nearest byte. Throws
/// Error (usage) unless C is 1, 3 or 4, and Error (numerical) for NaN and infinity.
Picture to_picture(std::span<const float> values, std::span<const std::int64_t> shape, double low, double high);

/// The frames of a sample [C, T, H, W], each like to_picture.
std::vector<Picture> to_frames(std::span<const float> values, std::span<const std::int64_t> shape, double low,
                               double high);

/// Every pixel as a square of factor x factor, factor >= 1.
Picture enlarge(const Picture& picture, int factor);

/// Copies `tile`, which must fit, into `canvas` with its upper left corner at (x, y). Grey goes into colour, and what
/// has no opacity is opaque; not the other way round.
void paste(Picture& canvas, const Picture& tile, int x, int y);

/// Pictures of one size, row by row in `columns` columns (0: the fewest that make the grid no higher than wide), with
/// `gap` pixels of `colour` between them and around them.
Picture grid(const std::vector<Picture>& pictures, int columns, int gap, Colour colour = white);

}  // namespace onestep
