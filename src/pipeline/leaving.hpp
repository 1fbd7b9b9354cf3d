#pragma once

#include <exception>

namespace onestep {

// How a sampler is left from within the function that it calls. Neither is a std::exception, which would be taken for
// a failure of the network.

/// A stop was asked for, between two network calls.
struct Stopped {};

/// What the caller's own function threw, on its way to him.
struct ThrownByCaller {
  std::exception_ptr exception;
};

}  // namespace onestep
