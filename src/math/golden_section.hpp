#pragma once

#include <functional>

namespace onestep {

/// Where f was least among `evaluations` >= 2 points of a golden-section search in (low, high) (Kiefer 1953): within
/// 0.618^(evaluations - 1) of the interval, if f falls and then rises.
double golden_section(const std::function<double(double)>& f, double low, double high, int evaluations);

}  // namespace onestep
