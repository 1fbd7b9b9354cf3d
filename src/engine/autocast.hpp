#pragma once

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include <optional>

#include "onestep/precision.hpp"

namespace onestep::engine {

/// While it lives, libtorch computes in `precision`, on this thread: those operators that stand it under its autocast;
/// in fp32 without the 10 bits of TF32, which it would use for convolutions on a GPU.
class ComputesIn {
 public:
  ComputesIn(torch::DeviceType device, Precision precision)
      : device_(device),
        enabled_(at::autocast::is_autocast_enabled(device)),
        type_(at::autocast::get_autocast_dtype(device)) {
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
  bool enabled_;
  torch::ScalarType type_;
  std::optional<at::NoTF32Guard> no_tf32_;
};

}  // namespace onestep::engine
