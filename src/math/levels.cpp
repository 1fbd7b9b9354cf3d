#include "levels.hpp"

#include <cmath>
#include <sstream>

#include "onestep/error.hpp"

namespace onestep {

void require_falling(const std::vector<double>& levels, double lowest) {
  std::ostringstream message;
  if (levels.empty()) message << "levels is empty: give at least one noise level";
  for (std::size_t i = 0; i < levels.size() && message.str().empty(); ++i) {
    if (!std::isfinite(levels[i]) || levels[i] <= lowest) {
      message << "levels[" << i << "] = " << levels[i] << " must be a finite number above " << lowest;
    } else if (i > 0 && levels[i] >= levels[i - 1]) {
      message << "levels[" << i << "] = " << levels[i] << " must be below levels[" << i - 1 << "] = " << levels[i - 1];
    }
  }
  if (!message.str().empty()) throw Error(ErrorKind::usage, message.str());
}

}  // namespace onestep
