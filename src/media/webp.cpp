#include <webp/encode.h>
#include <webp/mux.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "clip_file.hpp"
#include "onestep/error.hpp"
#include "picture_bands.hpp"

namespace onestep {
namespace {

struct EncodedData : WebPData {
  EncodedData() { WebPDataInit(this); }
  ~EncodedData() { WebPDataClear(this); }
};

struct EncoderPicture : WebPPicture {
  EncoderPicture() { WebPPictureInit(this); }
  ~EncoderPicture() { WebPPictureFree(this); }
};

}  // namespace

std::vector<std::byte> encode_webp(const std::vector<Picture>& frames, double frame_rate) {
  require_clip(frames, frame_rate);
  const int width = frames.front().width, height = frames.front().height;
  require_picture_size(FileKind::webp, {width, height, frames.front().channels});
  // Timestamps are ints, in milliseconds.
  if (frames.size() * 1000 / frame_rate > std::numeric_limits<int>::max()) {
    throw Error(ErrorKind::usage, "the clip is longer than 24 days; raise frame_rate");
  }
  const auto fail = [&](const std::string& reason) -> void {
    throw Error(ErrorKind::usage, "the picture can't be made a WebP: " + reason);
  };

  WebPAnimEncoderOptions options;
  WebPConfig config;
  // Initialising fails only where headers and library differ.
  if (!WebPAnimEncoderOptionsInit(&options) || !WebPConfigInit(&config)) fail("libwebp is of another version");
  config.lossless = 1;
  config.exact = 1;  // colours stay where nothing of them is seen
  const std::unique_ptr<WebPAnimEncoder, decltype(&WebPAnimEncoderDelete)> encoder(
      WebPAnimEncoderNew(width, height, &options), WebPAnimEncoderDelete);
  if (!encoder) fail("not enough memory");
  const auto milliseconds = [&](std::size_t frame) { return static_cast<int>(std::lround(frame * 1000 / frame_rate)); };

  for (std::size_t i = 0; i < frames.size(); ++i) {
    Picture colour = blank_picture(frames[i].width, frames[i].height, std::max(frames[i].channels, 3));
    paste(colour, frames[i], 0, 0);
    EncoderPicture picture;
    picture.width = colour.width;
    picture.height = colour.height;
    picture.use_argb = 1;
    const auto import = colour.channels == 3 ? WebPPictureImportRGB : WebPPictureImportRGBA;
    if (!import(&picture, colour.pixels.data(), colour.channels * colour.width)) fail("not enough memory");
    if (!WebPAnimEncoderAdd(encoder.get(), &picture, milliseconds(i), &config)) {
      fail("frame " + std::to_string(i) + ": " + WebPAnimEncoderGetError(encoder.get()));
    }
  }
  // The end of the last frame.
  EncodedData data;
  if (!WebPAnimEncoderAdd(encoder.get(), nullptr, milliseconds(frames.size()), nullptr) ||
      !WebPAnimEncoderAssemble(encoder.get(), &data)) {
    fail(WebPAnimEncoderGetError(encoder.get()));
  }
  const auto bytes = std::as_bytes(std::span(data.bytes, data.size));
  return {bytes.begin(), bytes.end()};
}

}  // namespace onestep
