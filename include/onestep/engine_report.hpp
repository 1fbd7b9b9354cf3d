#pragma once

#include <string>
#include <vector>

#include "onestep/precision.hpp"

namespace onestep {

/// One step of a compiled network.
struct EngineStep {
  /// Such as "convolution 3x3, Winograd F(4, 3) + bias + residual"; "..., as it is": libtorch's operator.
  std::string description;
  double seconds = 0;  ///< In the call that was measured.
};

/// How a network is run on this machine.
struct EngineReport {
  bool compiled = false;                  ///< Else libtorch runs it as it is.
  std::string why_not;                    ///< Where it is not compiled: what stands in the way.
  Precision precision = Precision::fp32;  ///< Of its products.
  std::string hardware;           ///< The instruction set of the kernels, such as AVX2; or the GPU, such as cuda:0.
  bool is_one_graph = false;      ///< On a GPU: all work of a call is one CUDA graph.
  std::vector<EngineStep> steps;  ///< In their order; empty where it is not compiled.
  double seconds = 0;             ///< All of the call, conditions included where they are not known yet.
};

}  // namespace onestep
