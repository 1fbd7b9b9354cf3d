#pragma once

#include <string>
#include <utility>
#include <vector>

namespace onestep {

/// Points of one line, in the order of x, and what it is.
struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

/// An SVG picture of lines over a logarithmic x axis, the least point of each marked. x above 0; all values finite; one
/// line and one point at least.
std::string line_plot(const std::string& title, const std::string& x_name, const std::string& y_name,
                      const std::vector<Line>& lines);

}  // namespace onestep
