#include "onestep/error.hpp"

namespace onestep {

Error::Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}

}  // namespace onestep
