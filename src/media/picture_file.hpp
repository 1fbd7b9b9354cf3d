#pragma once

#include <string>
#include <utility>
#include <vector>

#include "picture.hpp"

namespace onestep {

/// Text kept in a PNG file beside the pixels, such as how the sample was made: keyword (1 to 79 characters of printable
/// ASCII) and UTF-8 text. Software reads "Title", "Description" and "Software" by these names.
using PictureTexts = std::vector<std::pair<std::string, std::string>>;

// Each writer throws Error: usage for a picture that the format can't hold, file where the file can't be written.

void write_png(const std::string& file, const Picture& picture, const PictureTexts& texts = {});

/// Quality 95 of 100, colours at full resolution. Sides in [1, 65535].
void write_jpeg(const std::string& file, const Picture& picture);

/// Lossless WebP, which every browser shows: one frame is a still picture; more play in an endless loop at
/// `frame_rate` frames/s, in (0, 1000]. Sides in [1, 16383]; frames of one size.
void write_webp(const std::string& file, const std::vector<Picture>& frames, double frame_rate = 1);

/// A picture's values [height, width, channels] in [0, 1]; channels: 1 (grey) or 3 (red, green, blue).
struct PictureValues {
  int width = 0, height = 0, channels = 1;
  std::vector<float> values;   ///< On black where the picture is transparent.
  std::vector<float> opacity;  ///< [height, width] in [0, 1]; empty: opaque all over.
};

/// Reads a PNG, JPEG or BMP picture of at most 2^26 pixels, checked before memory is taken. 16 bits keep their digits;
/// a JPEG is turned as its EXIF orientation says. Throws Error (file).
PictureValues read_picture_values(const std::string& file);

/// The same in bytes.
Picture read_picture(const std::string& file);

/// How a picture gets another size: cut about its middle, set on black and transparent, or distorted.
enum class Fit { crop, pad, stretch };

/// Resampled smoothly (Catmull-Rom; Mitchell-Netravali to fewer pixels); as it is where the size is right already.
PictureValues fit_picture(const PictureValues& picture, int width, int height, Fit fit);

}  // namespace onestep
