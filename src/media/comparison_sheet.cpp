#include "comparison_sheet.hpp"

#include <algorithm>
#include <cmath>

#include "onestep/error.hpp"
#include "picture_text.hpp"

namespace onestep {
namespace {

constexpr int tile_height = 84;  // at least, about
constexpr int margin = 32, gap = 4, row_gap = 20, label_gap = 28;
constexpr int title_scale = 3, text_scale = 2;
constexpr int title_space = 28;  // below the title
constexpr int line_gap = 12;

int label_height(const SheetRow& row) {
  return static_cast<int>(row.label.size()) * (letter_height * text_scale + line_gap) - line_gap;
}

}  // namespace

Picture comparison_sheet(const std::string& title, const std::vector<SheetRow>& rows) {
  const Picture* first = nullptr;
  int channels = 1, label_width = 0;
  std::size_t columns = 0;
  for (const SheetRow& row : rows) {
    columns = std::max(columns, row.tiles.size());
    for (const Picture& tile : row.tiles) {
      if (!first) first = &tile;
      channels = std::max(channels, tile.channels);
      if (tile.width != first->width || tile.height != first->height) {
        throw Error(ErrorKind::usage, "the tiles of a comparison must have one size, not " +
                                          std::to_string(first->width) + " x " + std::to_string(first->height) +
                                          " and " + std::to_string(tile.width) + " x " + std::to_string(tile.height));
      }
    }
    for (const auto& line : row.label) label_width = std::max(label_width, text_width(line, text_scale));
  }
  if (!first) throw Error(ErrorKind::usage, "a comparison needs at least one row with a tile");

  const int factor = std::max(1, static_cast<int>(std::lround(double(tile_height) / first->height)));
  const std::int64_t tile_width = std::int64_t{first->width} * factor,
                     tiles_height = std::int64_t{first->height} * factor;
  const int tiles_left = margin + label_width + (label_width > 0 ? label_gap : 0);
  const std::int64_t width = tiles_left + static_cast<std::int64_t>(columns) * (tile_width + gap) - gap + margin;

  const int rows_top = margin + (title.empty() ? 0 : letter_height * title_scale + title_space);
  std::int64_t height = rows_top - row_gap + margin;
  for (const SheetRow& row : rows) height += std::max<std::int64_t>(tiles_height, label_height(row)) + row_gap;

  Picture sheet =
      blank_picture(std::max<std::int64_t>(width, 2 * margin + text_width(title, title_scale)), height, channels);
  draw_text(sheet, margin, margin, title, title_scale, true);
  int y = rows_top;
  for (const SheetRow& row : rows) {
    const int row_height = std::max(static_cast<int>(tiles_height), label_height(row));
    // Label and tiles stand at the row's middle.
    int line_y = y + (row_height - label_height(row)) / 2;
    for (std::size_t i = 0; i < row.label.size(); ++i) {
      draw_text(sheet, margin, line_y, row.label[i], text_scale, i == 0);
      line_y += letter_height * text_scale + line_gap;
    }
    int x = tiles_left;
    for (const Picture& tile : row.tiles) {
      paste(sheet, enlarge(tile, factor), x, y + (row_height - static_cast<int>(tiles_height)) / 2);
      x += static_cast<int>(tile_width) + gap;
    }
    y += row_height + row_gap;
  }
  return sheet;
}

}  // namespace onestep
