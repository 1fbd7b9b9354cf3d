#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

#include "onestep/engine_report.hpp"

namespace onestep {

/// What a network is called with, N rows each. Those that the model does not take are undefined. All but x is on the
/// CPU: a network can look whether it knows them without waiting for its device.
struct NetworkInput {
  torch::Tensor x = {};         ///< float32 [N, ...], on the network's device.
  torch::Tensor noise = {};     ///< float32 [N], the encoded noise level.
  torch::Tensor target = {};    ///< float32 [N], the encoded level to jump to: of a flow map.
  torch::Tensor label = {};     ///< int64 [N], or float32 [N, label_count].
  torch::Tensor guidance = {};  ///< float32 [N].

  /// All that is defined but x, in the order in which a network takes it.
  std::vector<torch::Tensor> conditions() const {
    std::vector<torch::Tensor> all;
    for (const torch::Tensor* part : {&noise, &target, &label, &guidance}) {
      if (part->defined()) all.push_back(*part);
    }
    return all;
  }

  /// The input with change(part) in place of every part that is defined.
  NetworkInput with_each(const std::function<torch::Tensor(const torch::Tensor&)>& change) const {
    NetworkInput changed = *this;
    for (torch::Tensor* part : {&changed.x, &changed.noise, &changed.target, &changed.label, &changed.guidance}) {
      if (part->defined()) *part = change(*part);
    }
    return changed;
  }

  /// One sample's, [1, ...] each.
  NetworkInput row(std::int64_t i) const {
    return with_each([i](const torch::Tensor& part) { return part.narrow(0, i, 1); });
  }
};

/// The raw network F: what a back end has to provide.
class Network {
 public:
  virtual ~Network() = default;

  /// Returns float32 of x's shape.
  virtual torch::Tensor forward(const NetworkInput& input) = 0;

  /// How it does that, measured in one call.
  virtual EngineReport report(const NetworkInput& /*input*/) { return {}; }
};

}  // namespace onestep
