#include "picture_bands.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "onestep/error.hpp"

namespace onestep {
namespace {

constexpr std::int64_t longest_png = 2147483647;  // PNG, 11.2.2
constexpr std::int64_t longest_jpeg = 65500;      // libjpeg's
constexpr std::int64_t longest_webp = 16383;      // 14 bits (RFC 9649)

/// libwebp packs a whole picture.
class WebpBands : public PictureBands {
 public:
  WebpBands(OutputFile& file, const PictureSize& size)
      : file_(file), picture_(blank_picture(size.width, size.height, size.channels)) {}

  void add(const Picture& band) override {
    paste(picture_, band, 0, rows_);
    rows_ += band.height;
  }

  void finish() override { file_.write(encode_webp({picture_})); }

 private:
  OutputFile& file_;
  Picture picture_;
  int rows_ = 0;
};

}  // namespace

void require_picture_size(FileKind kind, const PictureSize& size) {
  const auto [longest, whose] = kind == FileKind::png    ? std::pair(longest_png, "a PNG")
                                : kind == FileKind::jpeg ? std::pair(longest_jpeg, "a JPEG")
                                                         : std::pair(longest_webp, "a WebP");
  const std::string pixels = std::to_string(size.width) + " x " + std::to_string(size.height) + " pixels: ";
  if (std::max(size.width, size.height) > longest) {
    throw Error(ErrorKind::usage, pixels + whose + "'s sides must be at most " + std::to_string(longest) + "; write " +
                                      (kind == FileKind::png ? "several pictures" : ".png"));
  }
  if (kind == FileKind::webp && size.width * size.height * size.channels > 1 << 30)
    throw Error(ErrorKind::usage, pixels + "a WebP is packed as a whole, of at most 2^30 bytes; write .png");
}

std::unique_ptr<PictureBands> write_in_bands(FileKind kind, OutputFile& file, const PictureSize& size,
                                             const PictureTexts& texts) {
  require_picture_size(kind, size);
  if (kind == FileKind::png) return png_bands(file, size, texts);
  if (kind == FileKind::jpeg) return jpeg_bands(file, size);
  return std::make_unique<WebpBands>(file, size);
}

}  // namespace onestep
