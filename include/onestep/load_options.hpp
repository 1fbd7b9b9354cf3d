#pragma once

#include <string>

#include "onestep/precision.hpp"

namespace onestep {

/// How a model is loaded.
struct LoadOptions {
  std::string device = "cpu";  ///< cpu, cuda or cuda:i.
  /// Compile the network for this CPU or GPU where that is possible; the samples then differ by float32 rounding from
  /// those of libtorch.
  bool compile = true;
  /// automatic draws a few samples in bf16 and in fp32 to see whether bf16 will do: within one 8-bit level (2/255 of a
  /// range from -1 to 1) on average.
  Precision precision = Precision::automatic;
};

}  // namespace onestep
