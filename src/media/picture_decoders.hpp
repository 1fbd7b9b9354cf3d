#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "picture_file.hpp"

namespace onestep {

// What the decoders of picture formats share. Each throws Error (file) for what is no whole picture.

/// A picture as its file has it, and how its camera was held: the EXIF orientation, 1 to 8.
struct DecodedPicture {
  PictureValues picture;
  int orientation = 1;
};

DecodedPicture decode_png(std::span<const std::byte> bytes, const std::string& name);
DecodedPicture decode_jpeg(std::span<const std::byte> bytes, const std::string& name);
DecodedPicture decode_bmp(std::span<const std::byte> bytes, const std::string& name);

[[noreturn]] void fail_cut_short(const std::string& name, std::size_t bytes);
[[noreturn]] void fail_damaged(const std::string& name, const std::string& reason);

/// Throws unless there are 1 to 2^26 pixels, and the file has a byte for every `pixels_a_byte` of them, the most that
/// its format can pack into one: to be asked before memory is taken.
void require_plausible_size(std::int64_t width, std::int64_t height, double pixels_a_byte, std::size_t bytes,
                            const std::string& name);

/// Room for a picture. components: 1 (grey), 2 (grey, opacity), 3 (red, green, blue) or 4 (and opacity).
PictureValues room_for(std::int64_t width, std::int64_t height, int components);

/// Puts a row of `components` integers a pixel, up to the type's largest, in its place.
template <typename T>
void set_row(PictureValues& picture, int y, const T* row, int components) {
  constexpr auto full = static_cast<float>(std::numeric_limits<T>::max());
  const bool transparent = components % 2 == 0;
  for (int x = 0; x < picture.width; ++x, row += components) {
    const std::size_t pixel = std::size_t(y) * picture.width + x;
    const float opacity = transparent ? static_cast<float>(row[components - 1]) / full : 1;
    if (transparent) picture.opacity[pixel] = opacity;
    for (int c = 0; c < picture.channels; ++c) {
      picture.values[pixel * picture.channels + c] = static_cast<float>(row[c]) / full * opacity;
    }
  }
}

/// The orientation in EXIF data, with or without its header "Exif\0\0"; 1 where there is none.
int exif_orientation(std::span<const unsigned char> exif);

}  // namespace onestep
