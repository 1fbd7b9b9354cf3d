#include <libexif/exif-data.h>

#include <algorithm>
#include <array>
#include <memory>

#include "input_file.hpp"
#include "onestep/error.hpp"
#include "picture_decoders.hpp"

namespace onestep {
namespace {

/// [height, width, channels] as it was seen (EXIF 2.3, table 6). Orientations from 5 on exchange rows and columns.
std::vector<float> turned(const std::vector<float>& before, int width, int height, int channels, int orientation) {
  const bool exchanged = orientation >= 5;
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  std::vector<float> after(before.size());
  auto to = after.begin();
  for (int y = 0; y < (exchanged ? width : height); ++y) {
    for (int x = 0; x < (exchanged ? height : width); ++x) {
      const int u = exchanged ? y : x, v = exchanged ? x : y;
      const std::ptrdiff_t column = flip_x ? width - 1 - u : u, row = flip_y ? height - 1 - v : v;
      to = std::copy_n(before.begin() + (row * width + column) * channels, channels, to);
    }
  }
  return after;
}

bool starts_with(std::span<const std::byte> bytes, std::string_view start) {
  return bytes.size() >= start.size() &&
         std::equal(start.begin(), start.end(), bytes.begin(),
                    [](char c, std::byte byte) { return static_cast<std::byte>(c) == byte; });
}

/// A colour picture may hold grey values, as many programs save them.
bool is_grey(const PictureValues& picture) {
  if (picture.channels == 1) return true;
  for (std::size_t i = 0; i < picture.values.size(); i += 3) {
    if (picture.values[i] != picture.values[i + 1] || picture.values[i] != picture.values[i + 2]) return false;
  }
  return true;
}

}  // namespace

void fail_cut_short(const std::string& name, std::size_t bytes) {
  throw Error(ErrorKind::file, name + ": is cut short: the picture needs more than its " + std::to_string(bytes) +
                                   " bytes; copy or make it again");
}

void fail_damaged(const std::string& name, const std::string& reason) {
  throw Error(ErrorKind::file, name + ": is damaged (" + reason + "); copy or make it again");
}

void require_plausible_size(std::int64_t width, std::int64_t height, double pixels_a_byte, std::size_t bytes,
                            const std::string& name) {
  constexpr std::int64_t most = std::int64_t{1} << 26;
  if (width < 1 || height < 1) fail_damaged(name, "it has no pixels");
  if (width > most || height > most || width * height > most) {
    throw Error(ErrorKind::file, name + ": has " + std::to_string(width) + " x " + std::to_string(height) +
                                     " pixels, but at most " + std::to_string(most) + " are read; make it smaller");
  }
  if (static_cast<double>(width * height) > pixels_a_byte * static_cast<double>(bytes)) fail_cut_short(name, bytes);
}

PictureValues room_for(std::int64_t width, std::int64_t height, int components) {
  PictureValues picture{static_cast<int>(width), static_cast<int>(height), components < 3 ? 1 : 3, {}, {}};
  const std::size_t count = std::size_t(width) * height;
  picture.values.resize(count * picture.channels);
  if (components % 2 == 0) picture.opacity.resize(count);
  return picture;
}

int exif_orientation(std::span<const unsigned char> exif) {
  constexpr std::string_view header("Exif\0\0", 6);
  std::vector<unsigned char> bytes(exif.begin(), exif.end());
  if (!std::equal(header.begin(), header.end(), bytes.begin(),
                  bytes.begin() + static_cast<std::ptrdiff_t>(std::min(header.size(), bytes.size())))) {
    bytes.insert(bytes.begin(), header.begin(), header.end());
  }
  const std::unique_ptr<ExifData, decltype(&exif_data_unref)> data(
      exif_data_new_from_data(bytes.data(), static_cast<unsigned>(bytes.size())), exif_data_unref);
  ExifEntry* entry = data ? exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION) : nullptr;
  if (!entry || entry->format != EXIF_FORMAT_SHORT || entry->size < 2) return 1;
  const int orientation = exif_get_short(entry->data, exif_data_get_byte_order(data.get()));
  return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

PictureValues decode_picture(std::span<const std::byte> bytes, const std::string& name) {
  struct Format {
    std::string_view start;
    DecodedPicture (*decode)(std::span<const std::byte>, const std::string&);
  };
  constexpr std::array<Format, 3> formats{
      {{"\x89PNG\r\n\x1a\n", decode_png}, {"\xff\xd8", decode_jpeg}, {"BM", decode_bmp}}};
  const auto format = std::find_if(formats.begin(), formats.end(),
                                   [&](const Format& known) { return starts_with(bytes, known.start); });
  if (format == formats.end()) throw Error(ErrorKind::file, name + ": is no PNG, JPEG or BMP picture; convert it");
  auto [picture, orientation] = format->decode(bytes, name);
  if (orientation == 1) return std::move(picture);
  picture.values = turned(picture.values, picture.width, picture.height, picture.channels, orientation);
  if (!picture.opacity.empty()) {
    picture.opacity = turned(picture.opacity, picture.width, picture.height, 1, orientation);
  }
  if (orientation >= 5) std::swap(picture.width, picture.height);
  return std::move(picture);
}

PictureValues read_picture(const std::string& file) {
  InputFile input(file);
  // As many bytes as the most pixels have, uncompressed: four channels of 16 bits.
  constexpr std::uint64_t most = std::uint64_t{1} << 29;
  if (input.size > most) {
    throw Error(ErrorKind::file, file + ": has " + std::to_string(input.size) + " bytes, but pictures of at most " +
                                     std::to_string(most) + " are read; make it smaller");
  }
  std::vector<std::byte> bytes(input.size);
  input.stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(input.stream.gcount()));
  return decode_picture(bytes, file);
}

std::vector<float> to_sample(const PictureValues& picture, std::int64_t channels, double low, double high,
                             const std::string& name) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, name + ": " + what); };
  if (channels != 1 && channels != 3 && channels != 4) {
    fail("is a picture, which has 1, 3 or 4 channels, but the model's samples have " + std::to_string(channels));
  }
  if (channels == 1 && !is_grey(picture)) {
    fail("is in colour, but must be grey; make it grey first");
  }
  if (channels == 4 && picture.opacity.empty()) {
    fail("has no opacity, but must have 4 channels: red, green, blue, opacity; save it as RGBA");
  }
  const std::size_t pixels = std::size_t(picture.width) * picture.height;
  std::vector<float> sample;
  sample.reserve(pixels * channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::size_t p = 0; p < pixels; ++p) {
      double part = c == 3 ? picture.opacity[p] : picture.values[p * picture.channels + c % picture.channels];
      if (channels == 4 && c < 3) part = picture.opacity[p] > 0 ? std::min(1.0, part / picture.opacity[p]) : 0;
      sample.push_back(static_cast<float>(low + part * (high - low)));
    }
  }
  return sample;
}

}  // namespace onestep
