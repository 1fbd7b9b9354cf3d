#include "golden_section.hpp"

#include <numbers>
#include <utility>

namespace onestep {

double golden_section(const std::function<double(double)>& f, double low, double high, int evaluations) {
  constexpr double part = 1 / std::numbers::phi;
  double left = high - part * (high - low), right = low + part * (high - low);
  double f_left = f(left), f_right = f(right);
  double best = f_left <= f_right ? left : right;
  double f_best = f_left <= f_right ? f_left : f_right;
  const auto evaluate = [&](double x) {
    const double value = f(x);
    if (value < f_best) {
      best = x;
      f_best = value;
    }
    return value;
  };
  for (int i = 2; i < evaluations; ++i) {
    if (f_left <= f_right) {
      high = std::exchange(right, left);
      f_right = f_left;
      left = high - part * (high - low);
      f_left = evaluate(left);
    } else {
      low = std::exchange(left, right);
      f_left = f_right;
      right = low + part * (high - low);
      f_right = evaluate(right);
    }
  }
  return best;
}

}  // namespace onestep
