#pragma once

#include <exception>
#include <utility>

#include "interruption.hpp"
#include "onestep/generator.hpp"

namespace onestep {

// How a sampler is left from within the function that it calls. Neither is a std::exception, which would be taken for
// a failure of what it passes.

/// A stop was asked for, between two network calls.
struct Stopped : Interruption {};

/// What the caller's own function threw, on its way to him.
struct ThrownByCaller : Interruption {
  explicit ThrownByCaller(std::exception_ptr thrown) : exception(std::move(thrown)) {}
  std::exception_ptr exception;
};

/// Tells of progress, where there is someone to tell. Throws ThrownByCaller.
inline void tell(const OnProgress& on_progress, const Progress& progress) {
  if (!on_progress) return;
  try {
    on_progress(progress);
  } catch (...) {
    throw ThrownByCaller{std::current_exception()};
  }
}

}  // namespace onestep
