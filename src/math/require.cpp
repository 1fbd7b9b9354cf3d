#include "require.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "onestep/error.hpp"

namespace onestep {

void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

void require_within(const std::string& name, double value, double low, double high) {
  if (std::isfinite(value) && value >= low && value <= high) return;
  std::ostringstream message;
  message << name << " = " << value << " must ";
  if (std::isinf(high)) {
    message << "be a finite number, " << low << " or more";
  } else {
    message << "lie in [" << low << ", " << high << "]";
  }
  refuse(message.str());
}

void require_whole(const std::string& name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  refuse(name + " = " + std::to_string(value) + " must lie in [" + std::to_string(low) + ", " + std::to_string(high) +
         "]");
}

void require_finite(const std::string& name, const std::vector<float>& values) {
  const auto wrong = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (wrong == values.end()) return;
  refuse(name + "[" + std::to_string(wrong - values.begin()) + "] = " + std::to_string(*wrong) +
         " must be a finite number");
}

}  // namespace onestep
