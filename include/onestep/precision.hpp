#pragma once

#include <string>

namespace onestep {

/// Of a network's products. Statistics, softmax, preconditioning and the sampler's state are float32 in any case.
enum class Precision {
  automatic,  ///< bf16 where this CPU or GPU is fast at it and the model's samples stay the same; fp32 otherwise.
  fp32,
  bf16,
  fp16,  ///< On a GPU.
};

/// auto, fp32, bf16 or fp16.
inline const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::automatic:
      return "auto";
    case Precision::fp32:
      return "fp32";
    case Precision::bf16:
      return "bf16";
    case Precision::fp16:
      return "fp16";
  }
  return "";
}

/// What a loaded model is computed in.
struct PrecisionInUse {
  Precision precision = Precision::fp32;  ///< Not automatic.
  std::string why;                        ///< Such as "samples differ by 0.1 of an 8-bit level from those of fp32".
};

}  // namespace onestep
