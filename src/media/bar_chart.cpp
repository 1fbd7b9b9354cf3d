#include "bar_chart.hpp"

#include <algorithm>
#include <cmath>

#include "picture_text.hpp"

namespace onestep {
namespace {

constexpr int margin = 32, gap = 20, longest = 360, thick = 18, thin = 8;
constexpr int title_scale = 3, text_scale = 2, line = letter_height * text_scale;
// Colours that people who see few of them can tell apart (Okabe & Ito 2008).
constexpr Colour value_colour{0, 114, 178, 255}, other_colour{150, 150, 150, 255};

int pixels(double length) { return static_cast<int>(std::lround(std::clamp(length, 0.0, 1.0) * longest)); }

}  // namespace

Picture bar_chart(const std::string& title, const std::vector<Bar>& bars, const std::vector<std::string>& notes) {
  int names = 0, values = 0, widest = text_width(title, title_scale);
  for (const Bar& bar : bars) {
    names = std::max(names, text_width(bar.name, text_scale));
    values = std::max({values, text_width(bar.value_text, text_scale), text_width(bar.other_text, text_scale)});
  }
  for (const std::string& note : notes) widest = std::max(widest, text_width(note, text_scale));
  const int bars_left = margin + names + gap, values_left = bars_left + longest + gap;
  const int row = thick + thin + gap, top = margin + letter_height * title_scale + gap;
  const auto rows = static_cast<int>(bars.size()), lines = static_cast<int>(notes.size());
  Picture chart = blank_picture(std::max(values_left + values, margin + widest) + margin,
                                top + rows * row + lines * (line + 8) + margin, 3);
  draw_text(chart, margin, margin, title, title_scale, true);
  int y = top;
  const auto put = [&](int width, int height, int below, Colour colour) {
    if (width > 0) paste(chart, blank_picture(width, height, 3, colour), bars_left, y + below);
  };
  for (const Bar& bar : bars) {
    draw_text(chart, margin, y + (thick - line) / 2, bar.name, text_scale, true);
    put(pixels(bar.length), thick, 0, value_colour);
    if (bar.other_length) put(pixels(*bar.other_length), thin, thick, other_colour);
    draw_text(chart, values_left, y, bar.value_text, text_scale, true);
    draw_text(chart, values_left, y + line + 4, bar.other_text, text_scale, false);
    y += row;
  }
  for (const std::string& note : notes) {
    draw_text(chart, margin, y, note, text_scale, false);
    y += line + 8;
  }
  return chart;
}

}  // namespace onestep
