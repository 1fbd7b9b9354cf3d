#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#include <libexif/exif-data.h>
#include <stb/stb_image.h>

#include <cmath>
#include <memory>

#include "input_file.hpp"
#include "onestep/error.hpp"
#include "picture_file.hpp"

namespace onestep {
namespace {

/// stb_image fills what a short file lacks with grey and says nothing, but it asks for the missing bytes.
struct Source {
  std::ifstream& stream;
  std::uint64_t size, at = 0;
  bool ran_out = false;
};

int read_some(void* user, char* data, int size) {
  auto& source = *static_cast<Source*>(user);
  source.stream.read(data, size);
  const auto read = static_cast<int>(source.stream.gcount());
  source.at += read;
  source.ran_out |= read == 0;
  return read;
}

void skip(void* user, int size) {
  auto& source = *static_cast<Source*>(user);
  source.at += size;
  source.ran_out |= source.at > source.size;
  source.stream.seekg(size, std::ios::cur);
}

int at_end(void* user) { return static_cast<Source*>(user)->stream.peek() == std::ifstream::traits_type::eof(); }

/// The EXIF orientation, 1 to 8: how the camera was held. 1 where there is none.
int orientation_of(const std::string& file) {
  const std::unique_ptr<ExifData, decltype(&exif_data_unref)> data(exif_data_new_from_file(file.c_str()),
                                                                   exif_data_unref);
  ExifEntry* entry = data ? exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION) : nullptr;
  if (!entry || entry->format != EXIF_FORMAT_SHORT || entry->size < 2) return 1;
  const int orientation = exif_get_short(entry->data, exif_data_get_byte_order(data.get()));
  return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

/// The picture as it was seen (EXIF 2.3, table 6).
void turn(PictureValues& picture, int orientation) {
  if (orientation == 1) return;
  const bool exchanged = orientation >= 5;  // rows and columns
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const PictureValues before = picture;
  if (exchanged) std::swap(picture.width, picture.height);
  auto to = picture.values.begin();
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) {
      const int u = exchanged ? y : x, v = exchanged ? x : y;
      const std::size_t column = flip_x ? before.width - 1 - u : u, row = flip_y ? before.height - 1 - v : v;
      const auto from =
          before.values.begin() + static_cast<std::ptrdiff_t>((row * before.width + column) * before.channels);
      to = std::copy(from, from + before.channels, to);
    }
  }
}

}  // namespace

PictureValues read_picture_values(const std::string& file) {
  InputFile input(file);
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, file + ": " + what); };
  const stbi_io_callbacks callbacks{read_some, skip, at_end};

  PictureValues picture;
  int channels;  // grey, grey and opacity, colours, colours and opacity
  Source header{input.stream, input.size};
  if (!stbi_info_from_callbacks(&callbacks, &header, &picture.width, &picture.height, &channels)) {
    if (header.ran_out) fail("is cut short in its header; copy or make it again");
    fail("is no PNG, JPEG or BMP picture (" + std::string(stbi_failure_reason()) + ")");
  }
  constexpr std::int64_t most = std::int64_t{1} << 26;
  if (std::int64_t{picture.width} * picture.height > most) {
    fail("has " + std::to_string(picture.width) + " x " + std::to_string(picture.height) + " pixels, but at most " +
         std::to_string(most) + " are read; make it smaller");
  }

  input.stream.clear();
  input.stream.seekg(0);
  const bool jpeg = input.stream.get() == 0xFF;
  input.stream.seekg(0);
  Source source{input.stream, input.size};
  // Of a picture of bytes, each becomes 257 times as much: the same share of the range.
  const std::unique_ptr<stbi_us, decltype(&stbi_image_free)> pixels(
      stbi_load_16_from_callbacks(&callbacks, &source, &picture.width, &picture.height, &channels, 0), stbi_image_free);
  const std::string reason = pixels ? "" : stbi_failure_reason();
  // A PNG's chunk that ends early is noticed by stb_image itself.
  if (source.ran_out || reason == "outofdata") {
    fail("is cut short: the picture needs more than its " + std::to_string(input.size) + " bytes");
  }
  if (!pixels) fail("is damaged (" + reason + "); copy or make it again");
  picture.channels = channels < 3 ? 1 : 3;
  const bool transparent = channels % 2 == 0;
  const std::size_t count = std::size_t(picture.width) * picture.height;
  picture.values.reserve(count * picture.channels);
  for (const stbi_us* pixel = pixels.get(); pixel != pixels.get() + count * channels; pixel += channels) {
    const float opacity = transparent ? static_cast<float>(pixel[channels - 1]) / 65535 : 1;
    if (transparent) picture.opacity.push_back(opacity);
    for (int c = 0; c < picture.channels; ++c) {
      picture.values.push_back(static_cast<float>(pixel[c]) / 65535 * opacity);
    }
  }
  if (jpeg) turn(picture, orientation_of(file));
  return picture;
}

Picture read_picture(const std::string& file) {
  const PictureValues read = read_picture_values(file);
  Picture picture{read.width, read.height, read.channels, {}};
  picture.pixels.reserve(read.values.size());
  for (const float value : read.values) picture.pixels.push_back(static_cast<std::uint8_t>(std::lround(255 * value)));
  return picture;
}

}  // namespace onestep
