#pragma once

#include <stdexcept>
#include <string>

namespace onestep {

/// What an error is about; the command line's exit codes follow it.
enum class ErrorKind {
  usage,      ///< A request that can't be met: a value out of range, a sampler that doesn't suit the model.
  model,      ///< The model: missing, not a model, broken metadata, fails its trial call.
  file,       ///< Another file: missing, malformed, of the wrong shape, can't be written.
  numerical,  ///< NaN or infinity in a result.
  memory,     ///< Too little memory.
};

/// The only exception that leaves the library. The message names the thing, its value, the rule and the way out.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message);  ///< message: what what() says, in UTF-8.
  ErrorKind kind() const noexcept { return kind_; }   ///< What it is about.

 private:
  ErrorKind kind_;
};

}  // namespace onestep
