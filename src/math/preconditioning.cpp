#include "preconditioning.hpp"

#include <algorithm>
#include <cmath>

#include "noise_input.hpp"
#include "onestep/error.hpp"

namespace onestep {
namespace {

Preconditioning edm(const ModelInfo& info, double sigma) {
  return edm_preconditioning(sigma, info.sigma_data, info.boundary_sigma);
}

// Lu & Song 2024, Sec. 3.1: cos(t) x_t - sin(t) sigma_data F(x_t / sigma_data), with x_t = cos(t) x, t the angle.
Preconditioning trigflow(const ModelInfo& info, double sigma) {
  const double t = std::atan(sigma / info.sigma_data);
  return {
      .skip = std::cos(t) * std::cos(t), .out = -std::sin(t) * info.sigma_data, .in = std::cos(t) / info.sigma_data};
}

// The boundary of latent consistency models: c_skip x_t + c_out x0 (Luo et al. 2023, App.; the scaled timestep is the
// one of their code), with x_t = in * x.
Preconditioning with_boundary(const ModelInfo& info, double sigma, Preconditioning c) {
  if (info.timestep_scaling == 0) return c;
  const double scaled = info.timestep_scaling * encode_noise(info, sigma);
  const double data = info.sigma_data * info.sigma_data;
  const double skip = data / (scaled * scaled + data);
  const double out = scaled / std::sqrt(scaled * scaled + data);
  return {.skip = skip * c.in + out * c.skip, .out = out * c.out, .in = c.in};
}

// Variance preserving: x_t = alpha x, alpha = 1 / sqrt(1 + sigma^2).
double alpha(double sigma) { return 1 / std::sqrt(1 + sigma * sigma); }

// Ho et al. 2020, Eq. 15: (x_t - alpha sigma F) / alpha.
Preconditioning epsilon(const ModelInfo& info, double sigma) {
  return with_boundary(info, sigma, {.skip = 1, .out = -sigma, .in = alpha(sigma)});
}

// Salimans & Ho 2022, App. D: alpha x_t - alpha sigma F.
Preconditioning v(const ModelInfo& info, double sigma) {
  const double a = alpha(sigma);
  return with_boundary(info, sigma, {.skip = a * a, .out = -a * sigma, .in = a});
}

Preconditioning sample(const ModelInfo& info, double sigma) {
  return with_boundary(info, sigma, {.skip = 0, .out = 1, .in = alpha(sigma)});
}

// Rectified flow (Liu et al. 2022): x_tau - tau F, with x_tau = (1 - tau) x.
Preconditioning flow(const ModelInfo& info, double sigma) {
  const double tau = flow_time_of(info, sigma), rest = info.flow_noise_scale / (info.flow_noise_scale + sigma);
  return {.skip = rest, .out = -tau, .in = rest};
}

Preconditioning denoised(const ModelInfo&, double) { return {.skip = 0, .out = 1, .in = 1}; }

const Prediction& prediction_of(const ModelInfo& info) {
  for (const Prediction& prediction : predictions()) {
    if (prediction.name == info.prediction) return prediction;
  }
  throw Error(ErrorKind::usage, "prediction " + info.prediction + " is unknown; docs/design.md lists those there are");
}

}  // namespace

Preconditioning edm_preconditioning(double sigma, double sigma_data, double boundary) {
  const double data = sigma_data * sigma_data;
  const double above = sigma - boundary;
  const double total = std::sqrt(sigma * sigma + data);
  return {.skip = data / (above * above + data), .out = above * sigma_data / total, .in = 1 / total};
}

const std::vector<Prediction>& predictions() {
  static const std::vector<Prediction> table{
      {"edm", {"sigma_data", "boundary_sigma"}, {}, edm, false},
      {"trigflow", {"sigma_data"}, {}, trigflow, true},
      {"epsilon", {"sigma_data", "timestep_scaling"}, {}, epsilon, true},
      {"v", {"sigma_data", "timestep_scaling"}, {}, v, true},
      {"sample", {"sigma_data", "timestep_scaling"}, {}, sample, true},
      {"flow", {}, {}, flow, true},
      {"denoised", {}, {}, denoised, false},
  };
  return table;
}

Preconditioning precondition(const ModelInfo& info, double sigma) { return prediction_of(info).at(info, sigma); }

double initial_scale(const ModelInfo& info, double sigma) {
  const Prediction& prediction = prediction_of(info);
  const bool unit = info.starts_from_unit_noise.value_or(prediction.starts_from_unit_noise);
  // A flow's noise has the deviation s where nothing of the data is left.
  const double scale = info.prediction == "flow" ? info.flow_noise_scale : 1;
  return unit ? scale / prediction.at(info, sigma).in : sigma;
}

}  // namespace onestep
