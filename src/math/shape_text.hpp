#pragma once

#include <string>
#include <type_traits>

#include "onestep/signature.hpp"

namespace onestep {

/// Such as "[2, 1, 28, 28]".
template <typename Sizes>
std::string shape_text(const Sizes& sizes) {
  std::string text = "[";
  for (const auto& size : sizes) {
    if (text.size() > 1) text += ", ";
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(size)>>)
      text += std::to_string(size);
    else
      text += to_text(size);
  }
  return text + "]";
}

}  // namespace onestep
