#pragma once

#include <string>
#include <vector>

#include "picture.hpp"

namespace onestep {

struct SheetRow {
  std::vector<std::string> label;  ///< Lines at the row's left: the name, then particulars such as NFE and time.
  std::vector<Picture> tiles;      ///< From left to right; tiles of one size throughout the sheet.
};

/// Rows of tiles to be compared, labelled, dark on white, under an optional title. Small tiles are enlarged to about 84
/// pixels. Text is ASCII; what is not shows as '?'. Throws Error (usage) where there is no tile or their sizes differ.
Picture comparison_sheet(const std::string& title, const std::vector<SheetRow>& rows);

}  // namespace onestep
