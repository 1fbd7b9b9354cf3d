#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "onestep/error.hpp"

namespace onestep {

/// Whatever a stranger's input is, `action` ends, or throws Error: all else ends the fuzzer.
template <typename Action>
void only_errors(Action action) {
  try {
    action();
  } catch (const Error&) {
  }
}

inline std::string as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace onestep
