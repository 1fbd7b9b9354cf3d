#pragma once

#include <string>
#include <vector>

#include "onestep/model_info.hpp"

namespace onestep {

/// A way to tell the network the noise level: a row of the table in noise_input.cpp.
struct NoiseInput {
  std::string name;
  std::vector<std::string> fields;   ///< Of the model file, besides `kind`;
  std::vector<std::string> fields2;  ///< and those that came with format 2.
  double (*encode)(const ModelInfo& info, double sigma);
};

const std::vector<NoiseInput>& noise_inputs();

/// c_noise: the network's second argument at `sigma` >= 0.
double encode_noise(const ModelInfo& info, double sigma);

/// The time of a flow: tau = sigma / (s + sigma) (Liu et al. 2022), s the scale of the model's noise.
double flow_time_of(const ModelInfo& info, double sigma);

/// sigma of each of `count` timesteps, sqrt((1 - alpha_bar) / alpha_bar), rising. kind: `linear` in beta (Ho et al.
/// 2020), `scaled_linear` in its root (Rombach et al. 2022), or `cosine` (Nichol & Dhariwal 2021, Eq. 17), which takes
/// no betas. 0 < beta_start <= beta_end < 1.
std::vector<double> timestep_sigmas(const std::string& kind, double beta_start, double beta_end, int count);

}  // namespace onestep
