#include "noise_input.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "onestep/error.hpp"

namespace onestep {
namespace {

// The last step of a flow map goes to level 0, which has no logarithm: it is told sigma_min (Kim et al. 2023).
double log_sigma(const ModelInfo& info, double sigma) {
  return info.noise_scale * std::log(sigma > 0 ? sigma : info.sigma_min);
}

double itself(const ModelInfo&, double sigma) { return sigma; }

double angle(const ModelInfo& info, double sigma) { return info.noise_scale * std::atan(sigma / info.sigma_data); }

double flow_time(const ModelInfo& info, double sigma) { return info.noise_scale * flow_time_of(info, sigma); }

double timestep(const ModelInfo& info, double sigma) {
  const std::vector<double>& sigmas = info.timestep_sigmas;
  const auto above = std::lower_bound(sigmas.begin(), sigmas.end(), sigma);
  if (above == sigmas.begin()) return 0;
  if (above == sigmas.end()) return static_cast<double>(sigmas.size() - 1);
  const auto below = static_cast<double>(above - sigmas.begin() - 1);
  const double between = (std::log(sigma) - std::log(above[-1])) / (std::log(above[0]) - std::log(above[-1]));
  return info.interpolated_timesteps ? below + between : std::round(below + between);
}

double cosine_alpha_bar(double t) { return std::pow(std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2), 2); }

}  // namespace

const std::vector<NoiseInput>& noise_inputs() {
  static const std::vector<NoiseInput> table{
      {"log_sigma", {"scale"}, {}, log_sigma},
      {"sigma", {}, {}, itself},
      {"angle", {"scale"}, {}, angle},
      {"flow_time", {"scale"}, {"shift", "noise_scale"}, flow_time},
      {"timestep", {"schedule", "lookup"}, {}, timestep},
  };
  return table;
}

double encode_noise(const ModelInfo& info, double sigma) {
  for (const NoiseInput& input : noise_inputs()) {
    if (input.name == info.noise_input) return input.encode(info, sigma);
  }
  throw Error(ErrorKind::usage,
              "noise_input " + info.noise_input + " is unknown; docs/design.md lists those there are");
}

double flow_time_of(const ModelInfo& info, double sigma) { return sigma / (info.flow_noise_scale + sigma); }

std::vector<double> timestep_sigmas(const std::string& kind, double beta_start, double beta_end, int count) {
  std::vector<double> sigmas;
  double alpha_bar = 1;
  for (int i = 0; i < count; ++i) {
    const double part = i / std::max(count - 1.0, 1.0);
    double beta = beta_start + part * (beta_end - beta_start);
    if (kind == "scaled_linear") {
      beta = std::pow(std::sqrt(beta_start) + part * (std::sqrt(beta_end) - std::sqrt(beta_start)), 2);
    }
    if (kind == "cosine") {
      // 0.999: their cut, without which the last step would leave nothing at all.
      beta =
          std::min(1 - cosine_alpha_bar((i + 1.0) / count) / cosine_alpha_bar(static_cast<double>(i) / count), 0.999);
    }
    alpha_bar *= 1 - beta;
    sigmas.push_back(std::sqrt((1 - alpha_bar) / alpha_bar));
  }
  return sigmas;
}

}  // namespace onestep
