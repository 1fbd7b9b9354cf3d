#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace onestep::engine {

inline constexpr std::size_t line = 64;  ///< Bytes that a cache moves at once.

/// Memory from the beginning of a line on.
template <typename T>
struct LineAllocator {
  using value_type = T;

  LineAllocator() = default;
  template <typename Other>
  explicit LineAllocator(const LineAllocator<Other>&) {}

  T* allocate(std::size_t count) { return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{line})); }
  void deallocate(T* memory, std::size_t) { ::operator delete (memory, std::align_val_t{line}); }

  bool operator==(const LineAllocator&) const = default;
};

/// Numbers from the beginning of a line on: a kernel's vectors then lie in one line each, and threads that write
/// neighbouring vectors do not wait for each other.
template <typename T>
using Lines = std::vector<T, LineAllocator<T>>;

}  // namespace onestep::engine
