#pragma once

#include <torch/script.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "onestep/tensor/network.hpp"

// The files that make_networks.py writes.
namespace onestep::engine {

inline std::string path(const std::string& name) { return std::string(ONESTEP_ENGINE_NETWORKS) + "/" + name + ".pt"; }

inline std::vector<std::string> networks() {
  std::vector<std::string> names;
  if (!std::filesystem::exists(ONESTEP_ENGINE_NETWORKS)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(ONESTEP_ENGINE_NETWORKS)) {
    if (entry.path().extension() == ".pt") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// Of a network that is told x [N, shape...] and the noise level.
inline Signature signature_of(const std::vector<std::int64_t>& shape) {
  ModelInfo info;
  for (const std::int64_t size : shape) info.sample.sizes.push_back({size});
  return denoiser_signature(info);
}

/// What TorchScript makes of the input, where x is.
inline torch::Tensor run_as_it_is(torch::jit::Module& module, const NetworkInput& input) {
  std::vector<torch::IValue> inputs{input.x};
  for (const torch::Tensor& condition : input.conditions) inputs.emplace_back(on_device(condition, input.x.device()));
  return module.forward(std::move(inputs)).toTensor();
}

inline double largest(const torch::Tensor& x) { return x.abs().max().item<double>(); }

}  // namespace onestep::engine
