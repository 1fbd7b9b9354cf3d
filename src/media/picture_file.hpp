#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "picture.hpp"

namespace onestep {

/// Text kept in a PNG file beside the pixels, such as how the sample was made: keyword (1 to 79 characters of printable
/// ASCII) and UTF-8 text. Software reads "Title", "Description" and "Software" by these names.
using PictureTexts = std::vector<std::pair<std::string, std::string>>;

// The bytes of a picture file. Each throws Error (usage) for a picture that the format can't hold.

std::vector<std::byte> encode_png(const Picture& picture, const PictureTexts& texts = {});

/// Quality 95 of 100, colours at full resolution. Sides in [1, 65500]; no opacity.
std::vector<std::byte> encode_jpeg(const Picture& picture);

/// Lossless WebP, which every browser shows: one frame is a still picture; more play in an endless loop at
/// `frame_rate` frames/s, in (0, 1000]. Sides in [1, 16383]; frames of one size.
std::vector<std::byte> encode_webp(const std::vector<Picture>& frames, double frame_rate = 1);

/// A picture's values [height, width, channels] in [0, 1]; channels: 1 (grey) or 3 (red, green, blue).
struct PictureValues {
  int width = 0, height = 0, channels = 1;
  std::vector<float> values;   ///< On black where the picture is transparent.
  std::vector<float> opacity;  ///< [height, width] in [0, 1]; empty: opaque all over.
};

/// A PNG, JPEG or BMP picture of at most 2^26 pixels, 8192 x 8192, which take up to 2 GiB on the way; size and
/// plausibility are checked before that is taken. 16 bits keep their digits; CMYK becomes red, green and blue; the
/// picture is turned as its EXIF orientation says. Throws Error (file) for all that is damaged, however little; `name`
/// is for messages.
PictureValues decode_picture(std::span<const std::byte> bytes, const std::string& name);

/// The same from a file.
PictureValues read_picture(const std::string& file);

/// The picture as a model's sample [channels, height, width], black being `low` and white `high`. Grey becomes colour,
/// and colour becomes grey where it holds grey alone. The fourth channel is opacity, and the colours beside it are
/// those of the file, not on black. Throws Error (file) where the picture has not what the channels ask for.
std::vector<float> to_sample(const PictureValues& picture, std::int64_t channels, double low, double high,
                             const std::string& name);

/// How a picture gets another size: cut about its middle, set on black and transparent, or distorted.
enum class Fit { crop, pad, stretch };

/// Resampled smoothly (Catmull-Rom; Mitchell-Netravali to fewer pixels); as it is where the size is right already.
PictureValues fit_picture(const PictureValues& picture, int width, int height, Fit fit);

}  // namespace onestep
