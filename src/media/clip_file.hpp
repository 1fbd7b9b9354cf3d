#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "picture_file.hpp"

namespace onestep {

// The bytes of a clip that plays in an endless loop: frames of one size and as many channels, at least one, at
// `frame_rate` frames/s, in (0, 1000]. Each throws Error (usage) for a clip that the format can't hold. encode_webp is
// in picture_file.hpp.

/// An animated PNG (PNG Specification, third edition), which software that knows none shows as its first frame. At
/// least 1/65 frames/s.
std::vector<std::byte> encode_apng(const std::vector<Picture>& frames, double frame_rate,
                                   const PictureTexts& texts = {});

/// A GIF: exact where the whole clip has at most 255 colours, else of 255 that are near. Opacity is kept
/// as seen (128 and more of 255) or not. Sides in [1, 65535]; times are multiples of 1/100 s; at least 1/655 frames/s.
std::vector<std::byte> encode_gif(const std::vector<Picture>& frames, double frame_rate);

/// Throws Error (usage) unless there is a frame, all are of one size and kind, and the rate is in (0, 1000].
void require_clip(const std::vector<Picture>& frames, double frame_rate);

/// Clips as one picture: a row a clip, its frames side by side.
Picture sprite_sheet(const std::vector<std::vector<Picture>>& clips);

/// What a sprite sheet is cut by, as JSON that game engines read (the array of Aseprite's and TexturePacker's exports):
/// every frame's place and time, and of every clip its frames, under the clip's name.
struct SpriteSheet {
  std::string image;               ///< The picture's file name.
  int width = 0, height = 0;       ///< Of a frame, pixels.
  int frames = 0;                  ///< Of a clip.
  std::vector<std::string> names;  ///< Of the clips, row by row.
  double frame_rate = 1;           ///< Frames/s.
};
std::string to_json(const SpriteSheet& sheet);

}  // namespace onestep
