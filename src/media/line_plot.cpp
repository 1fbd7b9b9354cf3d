#include "line_plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>

namespace onestep {
namespace {

constexpr double width = 720, height = 420, left = 80, right = 150, top = 50, bottom = 60;
// Colours that people who see few of them can tell apart (Okabe & Ito 2008).
constexpr std::array colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};

std::string text(double x, double y, const std::string& content, const char* more = "") {
  std::string safe;
  for (const char c : content) safe += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  std::ostringstream out;
  out << "<text x=\"" << x << "\" y=\"" << y << "\" " << more << ">" << safe << "</text>\n";
  return out.str();
}

std::string short_number(double value) {
  std::ostringstream out;
  out.precision(3);
  out << value;
  return out.str();
}

/// About five round numbers in [low, high].
std::vector<double> ticks(double low, double high) {
  const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : rough / power < 7.5 ? 5 : 10);
  std::vector<double> found;
  for (double at = std::ceil(low / step) * step; at <= high; at += step) found.push_back(at);
  return found;
}

}  // namespace

std::string line_plot(const std::string& title, const std::string& x_name, const std::string& y_name,
                      const std::vector<Line>& lines) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  double x_low = infinite, x_high = 0, y_low = infinite, y_high = -infinite;
  for (const Line& line : lines) {
    for (const auto& [x, y] : line.points) {
      x_low = std::min(x_low, x), x_high = std::max(x_high, x);
      y_low = std::min(y_low, y), y_high = std::max(y_high, y);
    }
  }
  const double margin = std::max((y_high - y_low) * 0.06, 1e-9 + std::abs(y_high) * 1e-3);
  y_low -= margin, y_high += margin;
  x_low /= 1.2, x_high *= 1.2;
  const auto px = [&](double x) {
    return left + (width - left - right) * std::log(x / x_low) / std::log(x_high / x_low);
  };
  const auto py = [&](double y) { return height - bottom - (height - top - bottom) * (y - y_low) / (y_high - y_low); };

  std::ostringstream svg;
  svg << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
      << "\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  svg << text(left, 28, title, "font-size=\"16\" font-weight=\"bold\"");
  const auto rule = [&](double x1, double y1, double x2, double y2) {
    svg << "<line x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2
        << "\" stroke=\"#dddddd\"/>\n";
  };
  for (const double y : ticks(y_low, y_high)) {
    rule(left, py(y), width - right, py(y));
    svg << text(left - 8, py(y) + 4, short_number(y), "text-anchor=\"end\"");
  }
  for (double decade = std::pow(10, std::floor(std::log10(x_low))); decade <= x_high; decade *= 10) {
    for (const double x : {decade, 2 * decade, 5 * decade}) {
      if (x < x_low || x > x_high) continue;
      rule(px(x), top, px(x), height - bottom);
      svg << text(px(x), height - bottom + 18, short_number(x), "text-anchor=\"middle\"");
    }
  }
  svg << text((left + width - right) / 2, height - 14, x_name, "text-anchor=\"middle\"");
  svg << text(-(top + height - bottom) / 2, 20, y_name, "text-anchor=\"middle\" transform=\"rotate(-90)\"");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const char* colour = colours[i % colours.size()];
    const auto& points = lines[i].points;
    svg << "<polyline fill=\"none\" stroke=\"" << colour << "\" stroke-width=\"2\" points=\"";
    for (const auto& [x, y] : points) svg << px(x) << "," << py(y) << " ";
    svg << "\"/>\n";
    const auto least = std::min_element(points.begin(), points.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
    for (const auto& point : points) {
      svg << "<circle cx=\"" << px(point.first) << "\" cy=\"" << py(point.second) << "\" r=\""
          << (&point == &*least ? 5 : 2.5) << "\" fill=\"" << colour << "\"/>\n";
    }
    const double y = top + 20.0 * static_cast<double>(i) + 8;
    svg << "<rect x=\"" << width - right + 14 << "\" y=\"" << y - 9 << "\" width=\"12\" height=\"12\" fill=\"" << colour
        << "\"/>\n"
        << text(width - right + 32, y + 2, lines[i].name + ": " + short_number(least->first));
  }
  svg << "</svg>\n";
  return svg.str();
}

}  // namespace onestep
