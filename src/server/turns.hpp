#pragma once

#include <cstdint>
#include <functional>
#include <semaphore>
#include <stop_token>

#include "onestep/generator.hpp"

namespace onestep {

/// Work on the thread of who asks for it, a few at a time beside the thread that computes samples: the engine's threads
/// are shared among those that call it.
class Turns {
 public:
  /// seconds: that a turn may take, the wait for it included.
  explicit Turns(std::int64_t seconds) : seconds_(seconds) {}

  /// Calls `work` when a turn is free. It calls on_progress now and then, stops where it is told to, and returns
  /// whether it was done. Throws Refusal (503) where it was not: time is up, or the client of this thread is gone.
  void take(const std::function<bool(const OnProgress& on_progress, std::stop_token stop)>& work);

 private:
  std::int64_t seconds_;
  std::counting_semaphore<> free_{2};
};

}  // namespace onestep
