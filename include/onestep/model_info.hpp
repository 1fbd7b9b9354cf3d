#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace onestep {

enum class Role { consistency, diffusion, flow_map };

/// What a model file of format 1 says of itself. Ranges are those that loading checks.
struct ModelInfo {
  std::string name;
  std::string license;
  Role role = Role::consistency;

  std::string modality;             ///< image [C, H, W], audio [C, L] or video [C, T, H, W].
  std::vector<std::int64_t> shape;  ///< of one sample, every size >= 1.
  double rate = 0;                  ///< audio: sample rate, Hz; video: frame rate, frames/s; image: 0.
  double range_low = -1, range_high = 1;

  std::int64_t label_count = 0;  ///< 0: unconditional.
  std::vector<std::string> label_names;
  std::optional<std::int64_t> null_label;  ///< The index that means "no label", label_count or above.
  bool one_hot_labels = false;             ///< The network takes float32 [N, label_count] rather than int64 [N].

  std::string noise_input = "log_sigma";  ///< What the network is told of sigma; docs/design.md has the table.
  double noise_scale = 0.25;              ///< Of log_sigma, angle and flow_time, > 0.
  std::vector<double> timestep_sigmas;    ///< noise_input timestep: sigma of each timestep, rising. Else empty.
  bool interpolated_timesteps = false;    ///< A sigma between two timesteps: a broken number, or the nearest one.

  std::string prediction = "edm";  ///< What the raw output means; docs/design.md has the table.
  double sigma_data = 0.5;         ///< Standard deviation of the data, > 0.
  double boundary_sigma = 0;       ///< epsilon, in [0, sigma_min].
  double timestep_scaling = 0;     ///< s of the latent-consistency boundary (Luo et al. 2023), > 0; 0: there is none.
  std::optional<double> guidance;  ///< The network takes a guidance scale as a further input; its default.

  double sigma_min = 0.002, sigma_max = 80, rho = 7;

  std::map<int, std::vector<double>> levels;  ///< Recommended levels for a number of steps.
  bool renoise_by_level = false;              ///< Add tau rather than sqrt(tau^2 - epsilon^2) before a further step.
  bool clip_denoised = false;                 ///< Every denoised sample is clamped to the range.

  std::string card = "{}";  ///< What the file tells people: a JSON object.
};

}  // namespace onestep
