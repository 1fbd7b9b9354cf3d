#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

#include "onestep/engine_report.hpp"
#include "onestep/signature.hpp"

namespace onestep {

/// What a network is called with, N rows each.
struct NetworkInput {
  torch::Tensor x = {};  ///< On the network's device.
  /// Its further inputs, in the order of its signature. They are on the CPU: a network can look whether it knows them
  /// without waiting for its device.
  std::vector<torch::Tensor> conditions = {};

  /// The input with change(part) in place of every part.
  NetworkInput with_each(const std::function<torch::Tensor(const torch::Tensor&)>& change) const;

  /// One sample's, [1, ...] each. 0 <= i < N.
  NetworkInput row(std::int64_t i) const;
};

/// A network with a signature that every call is held against, whatever runs it. `forward` and `report` may be called
/// from several threads at once; so may the `run` and `measure` of a back end.
class Network {
 public:
  /// name: for messages, such as the file. device: where x is to be.
  Network(std::string name, Signature signature, torch::Device device = torch::kCPU);
  virtual ~Network() = default;

  const std::string& name() const noexcept { return name_; }          ///< For messages, such as the file.
  const Signature& signature() const noexcept { return signature_; }  ///< What every call is held against.
  torch::Device device() const noexcept { return device_; }           ///< Where x is to be.

  /// Throws Error: usage where the input breaks the signature, naming the part; model where the network fails or its
  /// output breaks the signature; memory.
  torch::Tensor forward(const NetworkInput& input);

  /// How it does that, measured in a call. Throws as forward does.
  EngineReport report(const NetworkInput& input);

 protected:
  /// The input keeps the signature. Whatever it throws becomes an Error.
  virtual torch::Tensor run(const NetworkInput& input) = 0;
  virtual EngineReport measure(const NetworkInput& input);  ///< The same, with the times of its steps where it has any.

 private:
  std::string name_;
  Signature signature_;
  torch::Device device_;
};

}  // namespace onestep
