#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "onestep/generator.hpp"
#include "onestep/tensor/network.hpp"

namespace onestep {

/// A model file, loaded: what a Denoiser needs.
struct Model {
  std::string file;
  ModelInfo info;
  torch::Device device;
  std::unique_ptr<Network> network;
  PrecisionInUse precision;
};

/// model, errors: as of Generator::load.
Model load_model(const std::string& model, const LoadOptions& options = {});

}  // namespace onestep
