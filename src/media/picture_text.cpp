#include "picture_text.hpp"

#include <stb/stb_easy_font.h>

#include <cmath>
#include <vector>

namespace onestep {
namespace {

/// stb_easy_font reads past its tables for anything but printable ASCII. Each byte of UTF-8 that starts a character
/// becomes '?', the others nothing.
std::string printable(const std::string& text) {
  std::string shown;
  for (const char c : text) {
    if (c >= ' ' && c <= '~') {
      shown += c;
    } else if ((c & 0xc0) != 0x80) {
      shown += '?';
    }
  }
  return shown;
}

}  // namespace

int text_width(const std::string& text, int scale) { return scale * stb_easy_font_width(printable(text).data()); }

void draw_text(Picture& canvas, int x, int y, const std::string& text, int scale, bool heading) {
  struct Vertex {
    float x, y, z;
    unsigned char colour[4];
  };
  // A letter has at most 16 strokes of four corners.
  std::string shown = printable(text);
  std::vector<Vertex> corners(shown.size() * 64);
  const int strokes = stb_easy_font_print(0, 0, shown.data(), nullptr, corners.data(),
                                          static_cast<int>(corners.size() * sizeof(Vertex)));
  for (int i = 0; i < strokes; ++i) {
    // Corners go round the stroke: the first and the third are opposite.
    const Vertex &from = corners[4 * i], &to = corners[4 * i + 2];
    const auto pixels = [&](float length) { return static_cast<int>(std::lround(length * scale)); };
    if (pixels(to.x - from.x) == 0 || pixels(to.y - from.y) == 0) continue;
    const Picture stroke =
        blank_picture(pixels(to.x - from.x) + heading, pixels(to.y - from.y), 1, {heading ? dark : faded});
    paste(canvas, stroke, x + pixels(from.x), y + pixels(from.y));
  }
}

}  // namespace onestep
