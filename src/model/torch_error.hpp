#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace onestep {

/// libtorch's messages go on for pages of stack. Their first line says what is wrong; of a TorchScript operator that
/// failed, the last one does.
inline std::string in_one_line(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  if (!text.starts_with("The following operation failed in the TorchScript interpreter"))
    return text.substr(0, text.find('\n'));
  const std::size_t end = text.find_last_not_of('\n') + 1, before = text.rfind('\n', end - 1);
  const std::size_t line = before == std::string::npos ? 0 : before + 1;
  return text.substr(line, end - line);
}

}  // namespace onestep
