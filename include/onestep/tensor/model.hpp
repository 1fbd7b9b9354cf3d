#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "onestep/load_options.hpp"
#include "onestep/model_info.hpp"
#include "onestep/tensor/network.hpp"

namespace onestep {

/// A model, loaded: one denoiser, and what stands before and after it.
struct Model {
  std::string file;                       ///< Or the folder.
  ModelInfo info;                         ///< What it says of itself.
  torch::Device device;                   ///< Where its networks are.
  std::unique_ptr<Network> network;       ///< Of the denoiser: takes denoiser_signature(info).
  std::unique_ptr<Network> decoder;       ///< [N, sample] -> [N, data]; null where they are the same.
  std::unique_ptr<Network> text_encoder;  ///< int64 [N, L] and maybe a mask bool [N, L] -> [N, L, D]; or null.
  PrecisionInUse precision;               ///< Of the denoiser; the others are float32.
};

/// model, errors: as of Generator::load.
Model load_model(const std::string& model, const LoadOptions& options = {});

}  // namespace onestep
