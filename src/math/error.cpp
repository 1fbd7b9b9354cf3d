#include "onestep/error.hpp"

namespace onestep {
namespace {

/// what() ends at a NUL, which a name that is quoted may hold.
std::string without_nul(std::string message) {
  for (std::size_t i = message.find('\0'); i != std::string::npos; i = message.find('\0', i))
    message.replace(i, 1, "\\0");
  return message;
}

}  // namespace

Error::Error(ErrorKind kind, const std::string& message) : std::runtime_error(without_nul(message)), kind_(kind) {}

}  // namespace onestep
