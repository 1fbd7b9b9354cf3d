#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "onestep/model_info.hpp"
#include "onestep/precision.hpp"
#include "onestep/tensor/network.hpp"

namespace onestep {

/// Whether a network in lower precision will do, and what was found.
struct Verdict {
  bool near = false;
  std::string found;
};
/// Compares a network in lower precision with the same in fp32.
using ComparePrecisions = std::function<Verdict(Network& exact, Network& reduced)>;

struct NetworkOptions {
  torch::Device device = torch::kCPU;
  bool compile = true;                    ///< Where it can be.
  Precision precision = Precision::fp32;  ///< automatic asks `compare`.
  ComparePrecisions compare = {};
  std::optional<bool> consider_bf16 = {};  ///< By automatic. Absent: where the device is fast at it.
};

struct LoadedNetwork {
  std::unique_ptr<Network> network;
  PrecisionInUse precision;
};

/// Loads the network of a TorchScript model file and tries it out: one call at batch 2 on the smallest noise, checked
/// for shape, type, finite values, and rows that do not depend on each other. Throws Error (model); Error (usage) on
/// fp16 for a CPU.
LoadedNetwork load_torchscript(const std::string& file, const ModelInfo& info, const NetworkOptions& options = {});

/// The same for any network: `trial` is an input of two rows, on the device, that its signature allows.
LoadedNetwork load_component(const std::string& file, const Signature& signature, const NetworkInput& trial,
                             const NetworkOptions& options = {});

}  // namespace onestep
