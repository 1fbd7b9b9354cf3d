#pragma once

#include <cstddef>
#include <cstdint>

#include "run/lines.hpp"

namespace onestep::engine {

/// Takes arrays out of the memory that a worker has for itself.
class Scratch {
 public:
  explicit Scratch(std::byte* from) : next_(from) {}

  template <typename T>
  T* take(std::int64_t count) {
    T* const taken = reinterpret_cast<T*>(next_);
    next_ += bytes<T>(count);
    return taken;
  }

  /// What take<T>(count) uses up.
  template <typename T>
  static std::int64_t bytes(std::int64_t count) {
    // Arrays do not share a line.
    constexpr auto size = static_cast<std::int64_t>(line);
    return (count * static_cast<std::int64_t>(sizeof(T)) + size - 1) / size * size;
  }

 private:
  std::byte* next_;
};

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace onestep::engine
