#pragma once

#include <cstdint>
#include <memory>

#include "onestep/file_kind.hpp"
#include "output_file.hpp"
#include "picture_file.hpp"

namespace onestep {

/// What a picture is before there are pixels.
struct PictureSize {
  std::int64_t width = 0, height = 0;
  int channels = 1;
};

/// A picture that is written from top to bottom, a band of rows at a time.
class PictureBands {
 public:
  virtual ~PictureBands() = default;
  /// The next rows: of the picture's width and channels.
  virtual void add(const Picture& band) = 0;
  /// After the last row. The file is not committed.
  virtual void finish() = 0;
};

/// Throws Error (usage) unless a picture of that size can be such a file: .png up to 2^31-1 a side, .jpg 65500, .webp
/// 16383, .webp moreover at most 2^30 bytes, as it is packed as a whole.
void require_picture_size(FileKind kind, const PictureSize& size);

/// kind: png, jpeg or webp; the rules of encode_png, encode_jpeg and encode_webp. The file must outlive it.
std::unique_ptr<PictureBands> write_in_bands(FileKind kind, OutputFile& file, const PictureSize& size,
                                             const PictureTexts& texts = {});

// One a format.
std::unique_ptr<PictureBands> png_bands(OutputFile& file, const PictureSize& size, const PictureTexts& texts);
std::unique_ptr<PictureBands> jpeg_bands(OutputFile& file, const PictureSize& size);

}  // namespace onestep
