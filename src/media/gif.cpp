#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>

#include "clip_file.hpp"
#include "onestep/error.hpp"

namespace onestep {
namespace {

constexpr int most_colours = 255;  // and one that is transparent
constexpr int longest = 65535;     // pixels a side

using Rgb = std::array<GifByteType, 3>;

struct Palette {
  std::vector<GifColorType> colours;   ///< Of what is opaque.
  std::map<Rgb, GifByteType> numbers;  ///< Of every colour of the clip.
};

/// Of a pixel of 1, 3 or 4 channels.
Rgb colour_of(const std::uint8_t* pixel, int channels) {
  if (channels == 1) return {pixel[0], pixel[0], pixel[0]};
  return {pixel[0], pixel[1], pixel[2]};
}

bool is_seen(const std::uint8_t* pixel, int channels) { return channels < 4 || pixel[3] >= 128; }

/// Calls take(pixel, seen) for every pixel of a frame.
template <typename Take>
void for_each_pixel(const Picture& frame, const Take& take) {
  for (std::size_t i = 0; i < frame.pixels.size(); i += frame.channels) {
    const std::uint8_t* pixel = &frame.pixels[i];
    take(colour_of(pixel, frame.channels), is_seen(pixel, frame.channels));
  }
}

Palette palette_of(const std::vector<Picture>& frames) {
  std::map<Rgb, std::size_t> counts;
  for (const Picture& frame : frames) {
    for_each_pixel(frame, [&](const Rgb& colour, bool seen) { counts[colour] += seen ? 1 : 0; });
  }
  std::erase_if(counts, [](const auto& entry) { return entry.second == 0; });
  Palette palette;
  if (counts.size() <= most_colours) {
    for (const auto& [colour, count] : counts) {
      palette.numbers[colour] = static_cast<GifByteType>(palette.colours.size());
      palette.colours.push_back({colour[0], colour[1], colour[2]});
    }
    return palette;
  }
  // giflib's median cut, of each colour as often as it is there, within reason.
  std::vector<GifByteType> channels[3];
  for (const auto& [colour, count] : counts) {
    const std::size_t copies = std::min<std::size_t>(count, 50);
    for (int c = 0; c < 3; ++c) channels[c].insert(channels[c].end(), copies, colour[c]);
  }
  int size = most_colours;
  palette.colours.resize(256);
  std::vector<GifByteType> chosen(channels[0].size());
  if (GifQuantizeBuffer(static_cast<unsigned>(chosen.size()), 1, &size, channels[0].data(), channels[1].data(),
                        channels[2].data(), chosen.data(), palette.colours.data()) != GIF_OK) {
    throw Error(ErrorKind::usage, "the clip's colours can't be made 255; write .webp or .apng");
  }
  palette.colours.resize(size);
  for (std::size_t i = 0; i < chosen.size(); ++i)
    palette.numbers[{channels[0][i], channels[1][i], channels[2][i]}] = chosen[i];
  return palette;
}

int take_bytes(GifFileType* gif, const GifByteType* data, int size) try {
  auto& bytes = *static_cast<std::vector<std::byte>*>(gif->UserData);
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  bytes.insert(bytes.end(), begin, begin + size);
  return size;
} catch (const std::bad_alloc&) {
  return 0;  // no exception passes through C
}

struct Closed {
  void operator()(GifFileType* gif) const {
    int error;
    EGifCloseFile(gif, &error);
  }
};

}  // namespace

std::vector<std::byte> encode_gif(const std::vector<Picture>& frames, double frame_rate) {
  require_clip(frames, frame_rate);
  const int width = frames.front().width, height = frames.front().height;
  if (std::max(width, height) > longest) {
    throw Error(ErrorKind::usage, std::to_string(width) + " x " + std::to_string(height) + " pixels: a GIF's sides " +
                                      "must be at most " + std::to_string(longest) + "; write .webp or .apng");
  }
  const auto hundredths = [&](std::size_t frame) { return std::llround(std::min(frame * 100 / frame_rate, 1e15)); };
  if (hundredths(1) > 65535) throw Error(ErrorKind::usage, "a frame of a GIF lasts at most 655 s; raise frame_rate");

  const Palette palette = palette_of(frames);
  const auto unseen = static_cast<GifByteType>(palette.colours.size());
  int size = 2;
  while (size <= unseen) size *= 2;
  std::vector<GifColorType> colours = palette.colours;
  colours.resize(size);
  const std::unique_ptr<ColorMapObject, decltype(&GifFreeMapObject)> map(GifMakeMapObject(size, colours.data()),
                                                                         GifFreeMapObject);
  std::vector<std::byte> bytes;
  int error = 0;
  std::unique_ptr<GifFileType, Closed> gif(EGifOpen(&bytes, take_bytes, &error));
  if (!map || !gif) throw Error(ErrorKind::memory, "no memory for a GIF");
  const auto require = [&](int result) {
    if (result == GIF_OK) return;
    const char* reason = GifErrorString(gif->Error);
    throw Error(ErrorKind::usage, std::string("the clip can't be made a GIF: ") + (reason ? reason : "unknown"));
  };
  EGifSetGifVersion(gif.get(), true);
  require(EGifPutScreenDesc(gif.get(), width, height, 8, 0, map.get()));
  const GifByteType for_ever[] = {1, 0, 0};
  require(EGifPutExtensionLeader(gif.get(), APPLICATION_EXT_FUNC_CODE));
  require(EGifPutExtensionBlock(gif.get(), 11, "NETSCAPE2.0"));
  require(EGifPutExtensionBlock(gif.get(), sizeof for_ever, for_ever));
  require(EGifPutExtensionTrailer(gif.get()));
  std::vector<GifPixelType> pixels;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    GraphicsControlBlock control{};
    control.DisposalMode = DISPOSE_BACKGROUND;  // what is transparent in the next shows none of this
    control.DelayTime = static_cast<int>(hundredths(i + 1) - hundredths(i));
    control.TransparentColor = unseen;
    GifByteType extension[4];
    EGifGCBToExtension(&control, extension);
    require(EGifPutExtension(gif.get(), GRAPHICS_EXT_FUNC_CODE, sizeof extension, extension));
    require(EGifPutImageDesc(gif.get(), 0, 0, width, height, false, nullptr));
    pixels.clear();
    for_each_pixel(frames[i],
                   [&](const Rgb& colour, bool seen) { pixels.push_back(seen ? palette.numbers.at(colour) : unseen); });
    for (int y = 0; y < height; ++y) require(EGifPutLine(gif.get(), &pixels[std::size_t(y) * width], width));
  }
  if (EGifCloseFile(gif.release(), &error) != GIF_OK) throw Error(ErrorKind::memory, "no memory for a GIF");
  return bytes;
}

}  // namespace onestep
