
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>

#include "onestep/error.hpp"
#include "picture_decoders.hpp"

namespace onestep {
namespace {

/// Whole numbers, the lowest byte first.
struct Numbers {
  std::span<const std::byte> bytes;
  const std::string& name;

  std::int64_t signed_at(std::uint64_t place) const { return static_cast<std::int32_t>(at(place, 4)); }

  std::uint32_t at(std::uint64_t place, int size) const {
    if (place + size > bytes.size()) fail_cut_short(name, bytes.size());
    std::uint32_t value = 0;
    for (int i = size - 1; i >= 0; --i) value = value << 8 | std::to_integer<std::uint32_t>(bytes[place + i]);
    return value;
  }
};

/// The colour that a mask's bits hold, as a share of 65535. Masks are not 0.
std::uint16_t part_of(std::uint32_t pixel, std::uint32_t mask) {
  const int shift = std::countr_zero(mask);
  const std::uint64_t value = (pixel & mask) >> shift, most = mask >> shift;
  return static_cast<std::uint16_t>((value * 65535 + most / 2) / most);
}

}  // namespace

// Source: Microsoft, "Bitmap storage": BITMAPFILEHEADER, then BITMAPCOREHEADER (12 bytes) or BITMAPINFOHEADER (40
// bytes) or one that grew from it, then the palette or masks.
DecodedPicture decode_bmp(std::span<const std::byte> bytes, const std::string& name) {
  const Numbers file{bytes, name};
  const std::uint64_t start = file.at(10, 4), header = file.at(14, 4);
  const bool core = header == 12;
  if (!core && (header < 40 || header > 124)) fail_damaged(name, "its header has " + std::to_string(header) + " bytes");
  const std::int64_t width = core ? file.at(18, 2) : file.signed_at(18);
  const std::int64_t signed_height = core ? file.at(20, 2) : file.signed_at(22);
  const std::int64_t height = std::abs(signed_height);
  const std::uint32_t bits = file.at(core ? 24 : 28, 2);
  const std::uint32_t compression = core ? 0 : file.at(30, 4);
  constexpr std::uint32_t plain = 0, with_masks = 3;
  const bool direct = bits == 16 || bits == 24 || bits == 32;
  if (!direct && bits != 1 && bits != 4 && bits != 8) fail_damaged(name, std::to_string(bits) + " bits a pixel");
  if (compression != plain && !(compression == with_masks && (bits == 16 || bits == 32))) {
    throw Error(ErrorKind::file, name + ": is a compressed BMP (kind " + std::to_string(compression) +
                                     "), which is not read; save it as PNG");
  }
  require_plausible_size(width, height, 8.0 / bits, bytes.size(), name);
  const std::int64_t stride = (width * bits + 31) / 32 * 4;
  if (start + static_cast<std::uint64_t>(stride * height) > bytes.size()) fail_cut_short(name, bytes.size());

  // Red, green, blue, opacity.
  std::array<std::uint32_t, 4> masks{0xff0000, 0xff00, 0xff, 0};
  if (bits == 16) masks = {0x7c00, 0x3e0, 0x1f, 0};
  if (compression == with_masks) {
    for (int c = 0; c < (header >= 56 ? 4 : 3); ++c) masks[c] = file.at(54 + 4 * c, 4);
  }
  const int components = masks[3] != 0 ? 4 : 3;
  for (int c = 0; c < components; ++c) {
    if (direct && masks[c] == 0) fail_damaged(name, "a colour has no bits");
  }
  const std::uint32_t entry = core ? 3 : 4, listed = core ? 0 : file.at(46, 4);
  const std::uint32_t colours = listed > 0 ? listed : 1U << std::min(bits, 8U);

  DecodedPicture decoded{room_for(width, height, components)};
  std::vector<std::uint16_t> row(width * components);
  for (std::int64_t y = 0; y < height; ++y) {
    const std::uint64_t place = start + (signed_height > 0 ? height - 1 - y : y) * stride;
    for (std::int64_t x = 0; x < width; ++x) {
      const std::uint64_t bit = x * bits;
      std::uint32_t pixel = file.at(place + bit / 8, direct ? static_cast<int>(bits / 8) : 1);
      if (!direct) {
        const std::uint32_t index = pixel >> (8 - bits - bit % 8) & ((1U << bits) - 1);
        if (index >= colours) fail_damaged(name, "colour " + std::to_string(index) + " of " + std::to_string(colours));
        pixel = file.at(14 + header + index * entry, 3);
      }
      for (int c = 0; c < components; ++c) row[x * components + c] = part_of(pixel, masks[c]);
    }
    set_row(decoded.picture, static_cast<int>(y), row.data(), components);
  }
  return decoded;
}

}  // namespace onestep
