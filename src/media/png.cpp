#include <png.h>

#include <algorithm>
#include <csetjmp>

#include "onestep/error.hpp"
#include "output_file.hpp"
#include "picture_file.hpp"

namespace onestep {
namespace {

struct Encoding {
  std::vector<std::byte> bytes;
  std::string failure;
};

// libpng is C: no exception may pass through it, and it leaves by longjmp.
void append(png_structp png, png_bytep data, std::size_t size) {
  auto& bytes = static_cast<Encoding*>(png_get_io_ptr(png))->bytes;
  bool enough = true;
  try {
    const auto* begin = reinterpret_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), begin, begin + size);
  } catch (const std::exception&) {
    enough = false;
  }
  if (!enough) png_error(png, "not enough memory");
}

void stop(png_structp png, png_const_charp message) {
  static_cast<Encoding*>(png_get_error_ptr(png))->failure = message;
  png_longjmp(png, 1);
}

void stay_silent(png_structp, png_const_charp) {}

/// Nothing with a destructor lives between setjmp and longjmp. `rows` and `texts` point into the caller's.
bool encode(Encoding& encoding, const Picture& picture, png_bytep* rows, png_text* texts, int text_count) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &encoding, stop, stay_silent);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  if (!info || setjmp(png_jmpbuf(png))) {
    png_destroy_write_struct(&png, nullptr);
    return false;
  }
  png_set_write_fn(png, &encoding, append, nullptr);
  png_set_IHDR(png, info, picture.width, picture.height, 8,
               picture.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_text(png, info, texts, text_count);
  png_set_rows(png, info, rows);
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return true;
}

}  // namespace

void write_png(const std::string& file, const Picture& picture, const PictureTexts& texts) {
  std::vector<png_text> entries;
  for (const auto& [keyword, text] : texts) {
    const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
    if (keyword.empty() || keyword.size() > 79 || !std::all_of(keyword.begin(), keyword.end(), printable)) {
      throw Error(ErrorKind::usage,
                  "the PNG keyword \"" + keyword + "\" must be 1 to 79 characters of printable ASCII");
    }
    // Plain tEXt is read by more software, but can't hold UTF-8.
    const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
    png_text& entry = entries.emplace_back();
    entry.compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    entry.key = const_cast<char*>(keyword.c_str());
    entry.text = const_cast<char*>(text.c_str());
    (ascii ? entry.text_length : entry.itxt_length) = text.size();
  }
  std::vector<png_bytep> rows;
  for (int y = 0; y < picture.height; ++y) {
    rows.push_back(const_cast<png_bytep>(&picture.pixels[std::size_t(y) * picture.width * picture.channels]));
  }
  Encoding encoding;
  if (!encode(encoding, picture, rows.data(), entries.data(), static_cast<int>(entries.size()))) {
    throw Error(ErrorKind::file, file + ": can't be made a PNG: " + encoding.failure);
  }
  write_file(file, encoding.bytes);
}

}  // namespace onestep
