#pragma once

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include <optional>

#include "onestep/precision.hpp"

namespace onestep::engine {

/// While it lives, libtorch computes in `precision`, on this thread: those operators that stand it under its autocast;
/// in fp32 without TF32 in products of matrices. cuDNN's convolutions do not ask for that: convolve_exactly settles
/// them. Weights that autocast converts are kept for the next call if `keeps_weights` and they require gradients.
class ComputesIn {
 public:
  ComputesIn(torch::DeviceType device, Precision precision, bool keeps_weights = true)
      : device_(device),
        enabled_(at::autocast::is_autocast_enabled(device)),
        kept_(at::autocast::is_autocast_cache_enabled()),
        type_(at::autocast::get_autocast_dtype(device)) {
    at::autocast::set_autocast_cache_enabled(keeps_weights);
    at::autocast::set_autocast_enabled(device, precision != Precision::fp32);
    if (precision == Precision::fp32) {
      no_tf32_.emplace();
    } else {
      at::autocast::set_autocast_dtype(device, scalar_type(precision));
    }
  }
  ~ComputesIn() {
    at::autocast::set_autocast_enabled(device_, enabled_);
    at::autocast::set_autocast_dtype(device_, type_);
    at::autocast::set_autocast_cache_enabled(kept_);
  }
  ComputesIn(const ComputesIn&) = delete;
  ComputesIn& operator=(const ComputesIn&) = delete;

  static torch::ScalarType scalar_type(Precision precision) {
    return precision == Precision::bf16   ? torch::kBFloat16
           : precision == Precision::fp16 ? torch::kHalf
                                          : torch::kFloat32;
  }

 private:
  torch::DeviceType device_;
  bool enabled_, kept_;
  torch::ScalarType type_;
  std::optional<at::NoTF32Guard> no_tf32_;
};

}  // namespace onestep::engine
