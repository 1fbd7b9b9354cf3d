#include "clip_file.hpp"

#include <zlib.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "onestep/error.hpp"

namespace onestep {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t signature_size = 8;

void put(Bytes& bytes, std::uint32_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes.push_back(static_cast<std::byte>(value >> shift));
}

std::uint32_t number_at(const Bytes& bytes, std::size_t place) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(bytes[place + i]);
  return value;
}

void put_chunk(Bytes& file, const char* type, const Bytes& data) {
  put(file, static_cast<std::uint32_t>(data.size()), 4);
  const std::size_t begin = file.size();
  for (int i = 0; i < 4; ++i) file.push_back(static_cast<std::byte>(type[i]));
  file.insert(file.end(), data.begin(), data.end());
  const auto* checked = reinterpret_cast<const Bytef*>(&file[begin]);
  put(file, static_cast<std::uint32_t>(crc32(0, checked, static_cast<uInt>(file.size() - begin))), 4);
}

/// Calls take(type, data) for each chunk of a PNG.
template <typename Take>
void for_each_chunk(const Bytes& png, const Take& take) {
  for (std::size_t place = signature_size; place < png.size();) {
    const std::size_t size = number_at(png, place);
    const auto data = png.begin() + static_cast<std::ptrdiff_t>(place) + 8;
    take(std::string(reinterpret_cast<const char*>(&png[place + 4]), 4), Bytes(data, data + size));
    place += size + 12;
  }
}

}  // namespace

void require_clip(const std::vector<Picture>& frames, double frame_rate) {
  if (frames.empty()) throw Error(ErrorKind::usage, "a clip needs at least one frame");
  if (!(frame_rate > 0 && frame_rate <= 1000)) {
    std::ostringstream message;
    message << "frame_rate = " << frame_rate << " must be in (0, 1000] frames/s";
    throw Error(ErrorKind::usage, message.str());
  }
  const Picture& first = frames.front();
  for (const Picture& frame : frames) {
    if (frame.width != first.width || frame.height != first.height || frame.channels != first.channels)
      throw Error(ErrorKind::usage, "the frames of a clip must be of one size and have as many channels");
  }
}

Bytes encode_apng(const std::vector<Picture>& frames, double frame_rate, const PictureTexts& texts) {
  require_clip(frames, frame_rate);
  const auto milliseconds = static_cast<std::uint32_t>(std::lround(std::min(1000 / frame_rate, 1e9)));
  if (milliseconds > 65535) throw Error(ErrorKind::usage, "a frame of an APNG lasts at most 65 s; raise frame_rate");

  Bytes file;
  std::uint32_t number = 0;  // of fcTL and fdAT chunks
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const Bytes still = encode_png(frames[i], texts);
    bool controlled = false;
    if (i == 0) file.assign(still.begin(), still.begin() + signature_size);
    for_each_chunk(still, [&](const std::string& type, const Bytes& data) {
      if (type == "IDAT") {
        if (!std::exchange(controlled, true)) {
          Bytes control;
          put(control, number++, 4);
          put(control, static_cast<std::uint32_t>(frames[i].width), 4);
          put(control, static_cast<std::uint32_t>(frames[i].height), 4);
          put(control, 0, 4);
          put(control, 0, 4);
          put(control, milliseconds, 2);
          put(control, 1000, 2);
          put(control, 0, 2);  // it stays, and the next takes its place, opacity included
          put_chunk(file, "fcTL", control);
        }
        if (i == 0) return put_chunk(file, "IDAT", data);
        Bytes numbered;
        put(numbered, number++, 4);
        numbered.insert(numbered.end(), data.begin(), data.end());
        put_chunk(file, "fdAT", numbered);
      } else if (i == 0 && type != "IEND") {
        put_chunk(file, type.c_str(), data);
        if (type != "IHDR") return;
        Bytes animation;
        put(animation, static_cast<std::uint32_t>(frames.size()), 4);
        put(animation, 0, 4);  // for ever
        put_chunk(file, "acTL", animation);
      }
    });
  }
  put_chunk(file, "IEND", {});
  return file;
}

Picture sprite_sheet(const std::vector<std::vector<Picture>>& clips) {
  std::vector<Picture> frames;
  for (const std::vector<Picture>& clip : clips) frames.insert(frames.end(), clip.begin(), clip.end());
  if (frames.empty()) throw Error(ErrorKind::usage, "a picture of no clips can't be made; give one or more");
  return grid(frames, static_cast<int>(clips.front().size()), 0);
}

std::string to_json(const SpriteSheet& sheet) {
  using Json = nlohmann::ordered_json;
  const auto milliseconds = std::max(std::lround(1000 / sheet.frame_rate), 1L);
  Json frames = Json::array(), tags = Json::array();
  const int rows = static_cast<int>(sheet.names.size());
  const Json size{{"w", sheet.width}, {"h", sheet.height}};
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < sheet.frames; ++i) {
      frames.push_back(
          {{"filename", sheet.names[row] + " " + std::to_string(i)},
           {"frame", {{"x", i * sheet.width}, {"y", row * sheet.height}, {"w", sheet.width}, {"h", sheet.height}}},
           {"rotated", false},
           {"trimmed", false},
           {"spriteSourceSize", {{"x", 0}, {"y", 0}, {"w", sheet.width}, {"h", sheet.height}}},
           {"sourceSize", size},
           {"duration", milliseconds}});
    }
    tags.push_back({{"name", sheet.names[row]},
                    {"from", row * sheet.frames},
                    {"to", (row + 1) * sheet.frames - 1},
                    {"direction", "forward"}});
  }
  const Json all{{"frames", frames},
                 {"meta",
                  {{"app", "onestep"},
                   {"image", sheet.image},
                   {"format", "RGBA8888"},
                   {"size", {{"w", sheet.frames * sheet.width}, {"h", rows * sheet.height}}},
                   {"scale", "1"},
                   {"frameTags", tags}}}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace onestep
