#pragma once

#include <string>

#include "picture.hpp"

namespace onestep {

constexpr int letter_height = 7;  // at scale 1
constexpr std::uint8_t dark = 24, faded = 104;

// Text is ASCII; what is not shows as '?'.

int text_width(const std::string& text, int scale);

/// With its upper left corner at (x, y); what is to be drawn must fit. Headings are dark, with strokes a pixel wider.
void draw_text(Picture& canvas, int x, int y, const std::string& text, int scale, bool heading);

}  // namespace onestep
