#include <cstdio>
// libjpeg's header needs what stands above.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>

#include "onestep/error.hpp"
#include "picture_bands.hpp"
#include "picture_decoders.hpp"

namespace onestep {
namespace {

// libjpeg is C and leaves by longjmp: nothing with a destructor lives in a function between setjmp and what may jump.

struct Errors : jpeg_error_mgr {
  std::jmp_buf left;
  int code = 0;
  char message[JMSG_LENGTH_MAX] = "";

  Errors() {
    jpeg_std_error(this);
    error_exit = leave;
    emit_message = leave_for_warnings;
    output_message = [](j_common_ptr) {};
  }

  static void leave(j_common_ptr info) {
    auto& errors = *static_cast<Errors*>(info->err);
    errors.code = errors.msg_code;
    errors.format_message(info, errors.message);
    std::longjmp(errors.left, 1);
  }
  /// libjpeg warns of damaged data, level -1, and fills in grey.
  static void leave_for_warnings(j_common_ptr info, int level) {
    if (level < 0) leave(info);
  }
};

/// A picture on its way to bytes, which `take` is given a buffer at a time.
struct Encoding {
  jpeg_compress_struct info{};
  jpeg_destination_mgr destination{};
  Errors errors;
  std::function<void(std::span<const std::byte>)> take;
  std::exception_ptr thrown;  ///< By take.
  std::array<JOCTET, 1 << 16> buffer;

  ~Encoding() { jpeg_destroy_compress(&info); }
};

bool hand_on(j_compress_ptr info, std::size_t size) {
  auto& encoding = *static_cast<Encoding*>(info->client_data);
  try {
    encoding.take(std::as_bytes(std::span(encoding.buffer).first(size)));
  } catch (...) {
    encoding.thrown = std::current_exception();
  }
  return !encoding.thrown;
}

void empty_buffer(j_compress_ptr info) {
  auto& encoding = *static_cast<Encoding*>(info->client_data);
  info->dest->next_output_byte = encoding.buffer.data();
  info->dest->free_in_buffer = encoding.buffer.size();
}

bool begin(Encoding& encoding, const PictureSize& size) {
  jpeg_compress_struct& info = encoding.info;
  info.err = &encoding.errors;
  if (setjmp(encoding.errors.left)) return false;
  jpeg_create_compress(&info);
  info.client_data = &encoding;
  info.dest = &encoding.destination;
  encoding.destination.init_destination = empty_buffer;
  encoding.destination.empty_output_buffer = [](j_compress_ptr compress) -> boolean {
    if (!hand_on(compress, std::tuple_size_v<decltype(Encoding::buffer)>)) ERREXIT(compress, JERR_FILE_WRITE);
    empty_buffer(compress);
    return TRUE;
  };
  encoding.destination.term_destination = [](j_compress_ptr compress) {
    const std::size_t full = std::tuple_size_v<decltype(Encoding::buffer)> - compress->dest->free_in_buffer;
    if (!hand_on(compress, full)) ERREXIT(compress, JERR_FILE_WRITE);
  };
  info.image_width = static_cast<JDIMENSION>(size.width);
  info.image_height = static_cast<JDIMENSION>(size.height);
  info.input_components = size.channels;
  info.in_color_space = size.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&info, TRUE);
  return true;
}

bool write_rows(Encoding& encoding, const Picture& band) {
  if (setjmp(encoding.errors.left)) return false;
  for (int y = 0; y < band.height; ++y) {
    auto* row = const_cast<JSAMPROW>(&band.pixels[std::size_t(y) * band.width * band.channels]);
    jpeg_write_scanlines(&encoding.info, &row, 1);
  }
  return true;
}

bool end(Encoding& encoding) {
  if (setjmp(encoding.errors.left)) return false;
  jpeg_finish_compress(&encoding.info);
  return true;
}

class JpegBands : public PictureBands {
 public:
  JpegBands(const PictureSize& size, std::function<void(std::span<const std::byte>)> take) {
    if (size.channels == 4) {
      throw Error(ErrorKind::usage, "a picture of 4 channels has opacity, which no JPEG holds; write .png or .webp");
    }
    require_picture_size(FileKind::jpeg, size);
    encoding_.take = std::move(take);
    require(begin(encoding_, size));
  }
  void add(const Picture& band) override { require(write_rows(encoding_, band)); }
  void finish() override { require(end(encoding_)); }

 private:
  void require(bool done) const {
    if (encoding_.thrown) std::rethrow_exception(encoding_.thrown);
    if (done) return;
    throw Error(ErrorKind::usage, "the picture can't be made a JPEG: " + std::string(encoding_.errors.message));
  }

  Encoding encoding_;
};

struct Decoding {
  jpeg_decompress_struct info{};
  jpeg_progress_mgr progress{};
  Errors errors;
  int scan = 0;

  ~Decoding() { jpeg_destroy_decompress(&info); }
};

constexpr int most_scans = 100;

/// Each of a progressive picture's scans may be a few bytes that take a walk over all of it.
void count_scans(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > most_scans) {
    static_cast<Errors*>(info->err)->code = JMSG_NOMESSAGE;
    std::snprintf(static_cast<Errors*>(info->err)->message, JMSG_LENGTH_MAX, "more than %d scans", most_scans);
    std::longjmp(static_cast<Errors*>(info->err)->left, 1);
  }
}

bool read_header(Decoding& decoding, std::span<const std::byte> bytes) {
  jpeg_decompress_struct& info = decoding.info;
  info.err = &decoding.errors;
  if (setjmp(decoding.errors.left)) return false;
  jpeg_create_decompress(&info);
  decoding.progress.progress_monitor = count_scans;
  info.progress = &decoding.progress;
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&info, TRUE);
  return true;
}

/// Cyan, magenta, yellow and black to red, green and blue, in place. Adobe's programs, and whoever follows them, store
/// what is left of white instead of the ink.
void to_colours(unsigned char* row, int width, bool inverted) {
  for (int x = 0; x < width; ++x) {
    const auto light = [&](int c) { return inverted ? row[4 * x + c] : 255 - row[4 * x + c]; };
    const int black = light(3);
    for (int c = 0; c < 3; ++c) row[3 * x + c] = static_cast<unsigned char>((light(c) * black + 127) / 255);
  }
}

bool read_rows(Decoding& decoding, PictureValues& picture, unsigned char* row) {
  jpeg_decompress_struct& info = decoding.info;
  if (setjmp(decoding.errors.left)) return false;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    const int y = static_cast<int>(info.output_scanline);
    jpeg_read_scanlines(&info, &row, 1);
    if (info.out_color_space == JCS_CMYK) to_colours(row, picture.width, info.saw_Adobe_marker);
    set_row(picture, y, row, picture.channels);
  }
  jpeg_finish_decompress(&info);
  return true;
}

}  // namespace

std::unique_ptr<PictureBands> jpeg_bands(OutputFile& file, const PictureSize& size) {
  return std::make_unique<JpegBands>(size, [&file](std::span<const std::byte> bytes) { file.write(bytes); });
}

std::vector<std::byte> encode_jpeg(const Picture& picture) {
  std::vector<std::byte> bytes;
  JpegBands bands({picture.width, picture.height, picture.channels},
                  [&](std::span<const std::byte> more) { bytes.insert(bytes.end(), more.begin(), more.end()); });
  bands.add(picture);
  bands.finish();
  return bytes;
}

DecodedPicture decode_jpeg(std::span<const std::byte> bytes, const std::string& name) {
  Decoding decoding;
  jpeg_decompress_struct& info = decoding.info;
  const auto require = [&](bool done) {
    if (done) return;
    if (decoding.errors.code == JWRN_JPEG_EOF || decoding.errors.code == JERR_INPUT_EOF) {
      fail_cut_short(name, bytes.size());
    }
    fail_damaged(name, decoding.errors.message);
  };
  require(read_header(decoding, bytes));
  if (info.num_components == 2 || info.num_components > 4) {
    fail_damaged(name, std::to_string(info.num_components) + " components are no colours");
  }
  info.out_color_space = info.num_components == 1 ? JCS_GRAYSCALE : info.num_components == 3 ? JCS_RGB : JCS_CMYK;
  // A block of 8 x 8 pixels takes a bit at least, but next to nothing where arithmetic coding packs them.
  require_plausible_size(info.image_width, info.image_height, info.arith_code ? 1e9 : 8 * 64, bytes.size(), name);

  DecodedPicture decoded{room_for(info.image_width, info.image_height, std::min(info.num_components, 3))};
  for (auto* marker = info.marker_list; marker; marker = marker->next) {
    const std::span data(marker->data, marker->data_length);
    constexpr std::string_view exif("Exif\0\0", 6);
    if (data.size() > exif.size() && std::equal(exif.begin(), exif.end(), data.begin())) {
      decoded.orientation = exif_orientation(data);
      break;
    }
  }
  std::vector<unsigned char> row(std::size_t(info.image_width) * info.num_components);
  require(read_rows(decoding, decoded.picture, row.data()));
  return decoded;
}

}  // namespace onestep
