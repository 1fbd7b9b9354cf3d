#include <libdeflate.h>
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <span>

#include "onestep/error.hpp"
#include "picture_bands.hpp"
#include "picture_decoders.hpp"

namespace onestep {
namespace {

// libpng is C and leaves by longjmp: nothing with a destructor lives in a function between setjmp and what may jump,
// and no exception passes through libpng.

/// A picture on its way to bytes, which `take` is given.
struct Encoding {
  std::function<void(std::span<const std::byte>)> take;
  std::exception_ptr thrown;  ///< By take.
  char failure[120] = "not enough memory";
  png_structp png = nullptr;
  png_infop info = nullptr;

  ~Encoding() { png_destroy_write_struct(&png, &info); }
};

void hand_on(png_structp png, png_bytep data, std::size_t size) {
  auto& encoding = *static_cast<Encoding*>(png_get_io_ptr(png));
  try {
    encoding.take(std::as_bytes(std::span(data, size)));
  } catch (...) {
    encoding.thrown = std::current_exception();
  }
  if (encoding.thrown) png_error(png, "its bytes can't be taken");
}

void stop_encoding(png_structp png, png_const_charp message) {
  auto& failure = static_cast<Encoding*>(png_get_error_ptr(png))->failure;
  std::strncpy(failure, message, sizeof failure - 1);
  png_longjmp(png, 1);
}

void stay_silent(png_structp, png_const_charp) {}

/// `texts` points into the caller's.
bool begin(Encoding& encoding, const PictureSize& size, png_text* texts, int text_count) {
  encoding.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &encoding, stop_encoding, stay_silent);
  if (!encoding.png || setjmp(png_jmpbuf(encoding.png))) return false;
  png_structp png = encoding.png;
  encoding.info = png_create_info_struct(png);
  if (!encoding.info) return false;
  png_set_write_fn(png, &encoding, hand_on, nullptr);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  const int type = size.channels == 1   ? PNG_COLOR_TYPE_GRAY
                   : size.channels == 3 ? PNG_COLOR_TYPE_RGB
                                        : PNG_COLOR_TYPE_RGB_ALPHA;
  png_set_IHDR(png, encoding.info, static_cast<png_uint_32>(size.width), static_cast<png_uint_32>(size.height), 8, type,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_text(png, encoding.info, texts, text_count);
  png_write_info(png, encoding.info);
  return true;
}

bool write_rows(Encoding& encoding, const Picture& band) {
  if (setjmp(png_jmpbuf(encoding.png))) return false;
  const std::size_t row = std::size_t(band.width) * band.channels;
  for (int y = 0; y < band.height; ++y) png_write_row(encoding.png, const_cast<png_bytep>(&band.pixels[y * row]));
  return true;
}

bool end(Encoding& encoding) {
  if (setjmp(png_jmpbuf(encoding.png))) return false;
  png_write_end(encoding.png, nullptr);
  return true;
}

/// Of one picture, whose pixels are packed already.
bool write_packed(Encoding& encoding, const std::vector<std::byte>& pixels) {
  if (setjmp(png_jmpbuf(encoding.png))) return false;
  const auto chunk = [&](const char* name, const std::byte* data, std::size_t size) {
    png_write_chunk(encoding.png, reinterpret_cast<png_const_bytep>(name), reinterpret_cast<png_const_bytep>(data),
                    size);
  };
  chunk("IDAT", pixels.data(), pixels.size());
  chunk("IEND", nullptr, 0);
  return true;
}

/// Rows as PNG packs them: each as the differences from what is to the left, above, or what Paeth predicts, whichever
/// has the least sum, with the number of the way before it. Source: PNG, 9.2 and 12.7.
std::vector<std::byte> filtered_rows(const Picture& picture) {
  const std::size_t row = std::size_t(picture.width) * picture.channels, step = picture.channels;
  std::vector<std::byte> filtered((row + 1) * picture.height);
  // With a pixel of zeros before each row, and a row of zeros above the first.
  std::vector<std::uint8_t> before(step + row), here(step + row), tried(row);
  for (int y = 0; y < picture.height; ++y) {
    std::copy_n(&picture.pixels[y * row], row, here.begin() + static_cast<std::ptrdiff_t>(step));
    const std::uint8_t *x = here.data() + step, *left = here.data(), *above = before.data() + step,
                       *corner = before.data();
    std::byte* to = &filtered[y * (row + 1)];
    std::size_t least = std::numeric_limits<std::size_t>::max();
    const auto keep_if_best = [&](std::uint8_t way) {
      std::size_t sum = 0;
      for (const std::uint8_t difference : tried) sum += std::min<unsigned>(difference, 256U - difference);
      if (sum >= least) return;
      least = sum;
      *to = std::byte{way};
      std::copy_n(std::as_bytes(std::span(tried)).data(), row, to + 1);
    };
    for (std::size_t i = 0; i < row; ++i) tried[i] = static_cast<std::uint8_t>(x[i] - left[i]);
    keep_if_best(1);
    for (std::size_t i = 0; i < row; ++i) tried[i] = static_cast<std::uint8_t>(x[i] - above[i]);
    keep_if_best(2);
    for (std::size_t i = 0; i < row; ++i) {
      const int a = left[i], b = above[i], c = corner[i];
      const int to_a = std::abs(b - c), to_b = std::abs(a - c), to_c = std::abs(a + b - 2 * c);
      tried[i] = static_cast<std::uint8_t>(x[i] - (to_a <= to_b && to_a <= to_c ? a : to_b <= to_c ? b : c));
    }
    keep_if_best(4);
    std::swap(before, here);
  }
  return filtered;
}

/// As zlib would. The fastest level: benchmarks/png says what others take and save.
std::vector<std::byte> packed(const std::vector<std::byte>& bytes) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
      libdeflate_alloc_compressor(1), libdeflate_free_compressor);
  if (!compressor) throw std::bad_alloc();
  std::vector<std::byte> packed(libdeflate_zlib_compress_bound(compressor.get(), bytes.size()));
  packed.resize(libdeflate_zlib_compress(compressor.get(), bytes.data(), bytes.size(), packed.data(), packed.size()));
  return packed;
}

class PngBands : public PictureBands {
 public:
  PngBands(const PictureSize& size, const PictureTexts& texts, std::function<void(std::span<const std::byte>)> take);
  void add(const Picture& band) override { require(write_rows(encoding_, band)); }
  void finish() override { require(end(encoding_)); }
  /// All of the picture, in place of add and finish.
  void write_whole(const Picture& picture) { require(write_packed(encoding_, packed(filtered_rows(picture)))); }

 private:
  void require(bool done) const {
    if (encoding_.thrown) std::rethrow_exception(encoding_.thrown);
    if (!done) throw Error(ErrorKind::usage, "the picture can't be made a PNG: " + std::string(encoding_.failure));
  }

  Encoding encoding_;
};

PngBands::PngBands(const PictureSize& size, const PictureTexts& texts,
                   std::function<void(std::span<const std::byte>)> take) {
  encoding_.take = std::move(take);
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
  require(begin(encoding_, size, entries.data(), static_cast<int>(entries.size())));
}

struct Decoding {
  std::span<const std::byte> rest;
  bool ran_out = false;
  char failure[120] = "not enough memory";
  png_structp png = nullptr;
  png_infop info = nullptr;

  ~Decoding() { png_destroy_read_struct(&png, &info, nullptr); }
};

void take(png_structp png, png_bytep data, std::size_t size) {
  auto& decoding = *static_cast<Decoding*>(png_get_io_ptr(png));
  if (size > decoding.rest.size()) {
    decoding.ran_out = true;
    png_error(png, "cut short");
  }
  std::memcpy(data, decoding.rest.data(), size);
  decoding.rest = decoding.rest.subspan(size);
}

/// Of errors and of warnings: libpng warns of a wrong checksum and goes on.
void stop_decoding(png_structp png, png_const_charp message) {
  auto& failure = static_cast<Decoding*>(png_get_error_ptr(png))->failure;
  std::strncpy(failure, message, sizeof failure - 1);
  png_longjmp(png, 1);
}

bool read_header(Decoding& decoding) {
  decoding.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoding, stop_decoding, stop_decoding);
  if (!decoding.png || setjmp(png_jmpbuf(decoding.png))) return false;
  png_structp png = decoding.png;
  decoding.info = png_create_info_struct(png);
  if (!decoding.info) return false;
  png_set_read_fn(png, &decoding, take);
  // Profiles, texts and the like are neither unpacked nor kept; the orientation is.
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_ALWAYS, reinterpret_cast<png_const_bytep>("eXIf"), 1);
  png_read_info(png, decoding.info);
  return true;
}

/// Palettes, few bits and transparent colours become 16 bits a channel.
bool expand(Decoding& decoding) {
  if (setjmp(png_jmpbuf(decoding.png))) return false;
  png_set_expand_16(decoding.png);
  png_set_swap(decoding.png);
  png_set_interlace_handling(decoding.png);
  png_read_update_info(decoding.png, decoding.info);
  return true;
}

/// `rows`: one, or all of an interlaced picture, which are filled in several passes.
bool read_rows(Decoding& decoding, PictureValues& picture, int components, png_uint_16* rows, std::size_t stride) {
  if (setjmp(png_jmpbuf(decoding.png))) return false;
  const int passes = png_get_interlace_type(decoding.png, decoding.info) == PNG_INTERLACE_NONE ? 1 : 7;
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < picture.height; ++y) {
      png_uint_16* row = rows + (passes == 1 ? 0 : y * stride);
      png_read_row(decoding.png, reinterpret_cast<png_bytep>(row), nullptr);
      if (pass == passes - 1) set_row(picture, y, row, components);
    }
  }
  png_read_end(decoding.png, decoding.info);
  return true;
}

}  // namespace

std::unique_ptr<PictureBands> png_bands(OutputFile& file, const PictureSize& size, const PictureTexts& texts) {
  return std::make_unique<PngBands>(size, texts, [&file](std::span<const std::byte> bytes) { file.write(bytes); });
}

std::vector<std::byte> encode_png(const Picture& picture, const PictureTexts& texts) {
  std::vector<std::byte> bytes;
  PngBands bands({picture.width, picture.height, picture.channels}, texts,
                 [&](std::span<const std::byte> more) { bytes.insert(bytes.end(), more.begin(), more.end()); });
  bands.write_whole(picture);
  return bytes;
}

DecodedPicture decode_png(std::span<const std::byte> bytes, const std::string& name) {
  Decoding decoding;
  decoding.rest = bytes;
  const auto require = [&](bool done) {
    if (done) return;
    if (decoding.ran_out) fail_cut_short(name, bytes.size());
    fail_damaged(name, decoding.failure);
  };
  require(read_header(decoding));
  const std::int64_t width = png_get_image_width(decoding.png, decoding.info);
  const std::int64_t height = png_get_image_height(decoding.png, decoding.info);
  // Deflate makes at most 1032 bytes of one (zlib, technical details).
  const double row_bytes = static_cast<double>(png_get_rowbytes(decoding.png, decoding.info));
  require_plausible_size(width, height, 1032 * static_cast<double>(width) / row_bytes, bytes.size(), name);

  require(expand(decoding));
  const int components = png_get_channels(decoding.png, decoding.info);
  DecodedPicture decoded{room_for(width, height, components)};
  const std::size_t stride = png_get_rowbytes(decoding.png, decoding.info) / sizeof(png_uint_16);
  const bool interlaced = png_get_interlace_type(decoding.png, decoding.info) != PNG_INTERLACE_NONE;
  std::vector<png_uint_16> rows(stride * (interlaced ? decoded.picture.height : 1));
  require(read_rows(decoding, decoded.picture, components, rows.data(), stride));

  png_unknown_chunkp chunks = nullptr;
  if (png_get_unknown_chunks(decoding.png, decoding.info, &chunks) > 0) {
    decoded.orientation = exif_orientation({chunks->data, chunks->size});
  }
  return decoded;
}

}  // namespace onestep
