#include "preconditioning.hpp"

#include <cmath>

namespace onestep {

Preconditioning edm_preconditioning(double sigma, double sigma_data, double boundary) {
  const double data = sigma_data * sigma_data;
  const double above = sigma - boundary;
  const double total = std::sqrt(sigma * sigma + data);
  return {.skip = data / (above * above + data), .out = above * sigma_data / total, .in = 1 / total};
}

}  // namespace onestep
