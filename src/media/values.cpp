#include "values.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "onestep/error.hpp"

namespace onestep {

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const auto size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

void require_shape(std::size_t count, std::span<const std::int64_t> shape) {
  std::int64_t needed = 1;
  for (const auto size : shape) {
    if (size < 0) throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " must hold no negative size");
    if (__builtin_mul_overflow(needed, size, &needed)) {
      throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " describes more values than 64 bits can count");
    }
  }
  if (static_cast<std::size_t>(needed) != count) {
    throw Error(ErrorKind::usage, "shape = " + shape_text(shape) + " needs " + std::to_string(needed) +
                                      " values, but " + std::to_string(count) + " were given");
  }
}

void require_range(double low, double high) {
  if (std::isfinite(low) && std::isfinite(high) && low < high) return;
  std::ostringstream message;
  message << "range = [" << low << ", " << high << "] must be two finite numbers, the lower first";
  throw Error(ErrorKind::usage, message.str());
}

double fraction(float value, double low, double high) {
  if (!std::isfinite(value)) {
    throw Error(ErrorKind::numerical, "a sample holds NaN or infinity, which no picture or sound can show");
  }
  return std::clamp((value - low) / (high - low), 0.0, 1.0);
}

}  // namespace onestep
