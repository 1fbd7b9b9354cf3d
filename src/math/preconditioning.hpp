#pragma once

#include <string>
#include <vector>

#include "onestep/model_info.hpp"

namespace onestep {

/// denoised = skip * x + out * F(in * x, c_noise) (Karras et al. 2022, Eq. 7), with x = data + sigma * noise. Every
/// prediction below has this form.
struct Preconditioning {
  double skip, out, in;
};

/// Karras et al. 2022, Table 1, shifted so that f(x, boundary) = x exactly (Song et al. 2023, App. C).
/// boundary 0: a diffusion model; sigma_min: a consistency model. sigma >= boundary >= 0, sigma_data > 0.
Preconditioning edm_preconditioning(double sigma, double sigma_data, double boundary);

/// A meaning of the raw output: a row of the table in preconditioning.cpp.
struct Prediction {
  std::string name;
  std::vector<std::string> fields;   ///< Of the model file, besides `kind`;
  std::vector<std::string> fields2;  ///< and those that came with format 2.
  Preconditioning (*at)(const ModelInfo& info, double sigma);
  /// A sample starts from unit noise at the network's input, rather than from x = sigma * noise: these models were
  /// trained up to the level where nothing of the data is left.
  bool starts_from_unit_noise;
};

const std::vector<Prediction>& predictions();

/// What the model's output means at `sigma`.
Preconditioning precondition(const ModelInfo& info, double sigma);

/// x = initial_scale * (unit Gaussian) begins a sample at level `sigma`.
double initial_scale(const ModelInfo& info, double sigma);

}  // namespace onestep
