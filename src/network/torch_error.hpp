#pragma once

#include <exception>
#include <string>

#include "onestep/error.hpp"

namespace onestep {

/// libtorch's messages go on for pages of stack. Their first line says what is wrong; of a TorchScript operator that
/// failed, the last one does.
std::string in_one_line(const std::exception& error);

/// To be called where an exception is being handled: throws it on as an Error, `name`: what was at work. An Error
/// and an Interruption stay what they are; no memory is ErrorKind::memory; all else is the network's failure.
[[noreturn]] void throw_translated(const std::string& name);

/// The result of work(), every exception turned into Error: none other leaves the library.
template <typename Work>
auto translated(const std::string& name, Work work) {
  try {
    return work();
  } catch (...) {
    throw_translated(name);
  }
}

}  // namespace onestep
