#pragma once

#include <optional>
#include <string>
#include <vector>

#include "picture.hpp"

namespace onestep {

/// A value as a bar, and below it another that it is to be held against.
struct Bar {
  std::string name, value_text, other_text = {};
  double length = 0;                     ///< Of the bar, [0, 1] of the longest.
  std::optional<double> other_length{};  ///< Of the thin bar below.
};

/// A picture of bars, one below the other, under a title, with lines of text at the end. Text is ASCII.
Picture bar_chart(const std::string& title, const std::vector<Bar>& bars, const std::vector<std::string>& notes);

}  // namespace onestep
