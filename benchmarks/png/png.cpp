// How long PNG libraries take for a picture, and how many bytes it then has: png ROUNDS PICTURE.png...
// Each picture is decoded, then encoded by each library, interleaved; medians. Libraries that were not found are left
// out.
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif
#ifdef HAVE_SPNG
#include <spng.h>
#endif
#ifdef HAVE_FPNG
#include <fpng.h>
#endif

namespace {

using Bytes = std::vector<unsigned char>;
struct Pixels {
  std::uint32_t width = 0, height = 0;
  int channels = 1;
  Bytes bytes;
};

Pixels read(const char* file) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&image, file)) {
    std::fprintf(stderr, "%s: %s\n", file, image.message);
    std::exit(1);
  }
  image.format = image.format & PNG_FORMAT_FLAG_COLOR ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  Pixels pixels{image.width, image.height, image.format == PNG_FORMAT_RGB ? 3 : 1, Bytes(PNG_IMAGE_SIZE(image))};
  png_image_finish_read(&image, nullptr, pixels.bytes.data(), 0, nullptr);
  return pixels;
}

void take(png_structp png, png_bytep data, png_size_t size) {
  auto& bytes = *static_cast<Bytes*>(png_get_io_ptr(png));
  bytes.insert(bytes.end(), data, data + size);
}

/// level < 0, filters < 0: libpng's own choice.
std::size_t with_libpng(const Pixels& pixels, int level, int filters) {
  Bytes bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &bytes, take, nullptr);
  png_set_IHDR(png, info, pixels.width, pixels.height, 8,
               pixels.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (level >= 0) png_set_compression_level(png, level);
  if (filters >= 0) png_set_filter(png, 0, filters);
  png_write_info(png, info);
  const std::size_t row = std::size_t{pixels.width} * pixels.channels;
  for (std::uint32_t y = 0; y < pixels.height; ++y) png_write_row(png, const_cast<png_bytep>(&pixels.bytes[y * row]));
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes.size();
}

#ifdef HAVE_LIBDEFLATE
/// filter: of every row, 1 (left), 2 (up), 4 (Paeth), or 0: of these the one whose differences are least, as PNG's
/// authors advise.
std::size_t with_libdeflate(const Pixels& pixels, int level, int filter) {
  const std::size_t row = std::size_t{pixels.width} * pixels.channels, step = pixels.channels;
  Bytes filtered((row + 1) * pixels.height), above(row + step), here(row + step), tried(row);
  for (std::uint32_t y = 0; y < pixels.height; ++y) {
    std::copy_n(&pixels.bytes[y * row], row, here.begin() + static_cast<std::ptrdiff_t>(step));
    unsigned long least = ~0UL;
    unsigned char* to = &filtered[y * (row + 1)];
    for (const int f : {1, 2, 4}) {
      if (filter != 0 && f != filter) continue;
      const unsigned char *x = here.data() + step, *a = here.data(), *b = above.data() + step, *c = above.data();
      for (std::size_t i = 0; i < row; ++i) {
        if (f == 1) tried[i] = x[i] - a[i];
        if (f == 2) tried[i] = x[i] - b[i];
        if (f == 4) {
          const int pa = std::abs(b[i] - c[i]), pb = std::abs(a[i] - c[i]), pc = std::abs(a[i] + b[i] - 2 * c[i]);
          tried[i] = x[i] - (pa <= pb && pa <= pc ? a[i] : pb <= pc ? b[i] : c[i]);
        }
      }
      unsigned long sum = 0;
      for (std::size_t i = 0; i < row; ++i) sum += static_cast<unsigned>(std::abs(static_cast<signed char>(tried[i])));
      if (sum >= least) continue;
      least = sum;
      *to = static_cast<unsigned char>(f);
      std::copy(tried.begin(), tried.end(), to + 1);
    }
    std::swap(here, above);
  }
  libdeflate_compressor* compressor = libdeflate_alloc_compressor(level);
  Bytes out(libdeflate_zlib_compress_bound(compressor, filtered.size()));
  const std::size_t size =
      libdeflate_zlib_compress(compressor, filtered.data(), filtered.size(), out.data(), out.size());
  libdeflate_crc32(0, out.data(), size);
  libdeflate_free_compressor(compressor);
  return size + 57;
}
#endif

#ifdef HAVE_SPNG
std::size_t with_spng(const Pixels& pixels, int level) {
  spng_ctx* context = spng_ctx_new(SPNG_CTX_ENCODER);
  spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
  if (level >= 0) spng_set_option(context, SPNG_IMG_COMPRESSION_LEVEL, level);
  spng_ihdr header{};
  header.width = pixels.width;
  header.height = pixels.height;
  header.bit_depth = 8;
  header.color_type = pixels.channels == 3 ? SPNG_COLOR_TYPE_TRUECOLOR : SPNG_COLOR_TYPE_GRAYSCALE;
  spng_set_ihdr(context, &header);
  spng_encode_image(context, pixels.bytes.data(), pixels.bytes.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
  std::size_t size = 0;
  int error = 0;
  std::free(spng_get_png_buffer(context, &size, &error));
  spng_ctx_free(context);
  return size;
}
#endif

#ifdef HAVE_FPNG
std::size_t with_fpng(const Pixels& pixels) {
  // It knows no grey.
  Pixels colour = pixels;
  if (pixels.channels == 1) {
    colour.bytes.clear();
    for (const unsigned char grey : pixels.bytes) colour.bytes.insert(colour.bytes.end(), 3, grey);
  }
  Bytes out;
  fpng::fpng_encode_image_to_memory(colour.bytes.data(), pixels.width, pixels.height, 3, out);
  return out.size();
}
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "png ROUNDS PICTURE.png...\n"), 2;
  std::vector<std::pair<std::string, std::function<std::size_t(const Pixels&)>>> ways;
  ways.emplace_back("libpng, as it is", [](const Pixels& p) { return with_libpng(p, -1, -1); });
  for (const int level : {1, 3, 6}) {
    for (const auto& [name, filters] : {std::pair("all filters", PNG_ALL_FILTERS), std::pair("up", PNG_FILTER_UP),
                                        std::pair("sub", PNG_FILTER_SUB), std::pair("none", PNG_FILTER_NONE)}) {
      ways.emplace_back("libpng, level " + std::to_string(level) + ", " + name,
                        [level, filters = filters](const Pixels& p) { return with_libpng(p, level, filters); });
    }
  }
#ifdef HAVE_LIBDEFLATE
  for (const int level : {1, 4, 6}) {
    for (const auto& [name, filter] :
         {std::pair("best filter", 0), std::pair("up", 2), std::pair("sub", 1), std::pair("Paeth", 4)}) {
      ways.emplace_back("libdeflate, level " + std::to_string(level) + ", " + name,
                        [level, filter = filter](const Pixels& p) { return with_libdeflate(p, level, filter); });
    }
  }
#endif
#ifdef HAVE_SPNG
  for (const int level : {-1, 1, 3})
    ways.emplace_back("libspng, " + (level < 0 ? "as it is" : "level " + std::to_string(level)),
                      [level](const Pixels& p) { return with_spng(p, level); });
#endif
#ifdef HAVE_FPNG
  fpng::fpng_init();
  ways.emplace_back("fpng", with_fpng);
#endif
  std::vector<Pixels> pictures;
  for (int i = 2; i < argc; ++i) pictures.push_back(read(argv[i]));
  std::map<std::string, std::vector<double>> seconds;
  std::map<std::string, std::size_t> sizes;
  for (int round = 0; round < std::atoi(argv[1]); ++round) {
    for (const auto& [name, encode] : ways) {
      std::size_t size = 0;
      const auto started = std::chrono::steady_clock::now();
      for (const Pixels& picture : pictures) size += encode(picture);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
      seconds[name].push_back(taken.count() / static_cast<double>(pictures.size()));
      sizes[name] = size / pictures.size();
    }
  }
  std::printf("%zu pictures of %u x %u x %d\n\n| encoder | microseconds a picture | bytes |\n| --- | --- | --- |\n",
              pictures.size(), pictures[0].width, pictures[0].height, pictures[0].channels);
  for (const auto& [name, encode] : ways) {
    std::vector<double>& all = seconds[name];
    std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
    std::printf("| %s | %.1f | %zu |\n", name.c_str(), 1e6 * all[all.size() / 2], sizes[name]);
  }
}
