#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>

namespace onestep {

// What the samplers of this folder share. Their x is a batch [N, ...] of any dimensions, floating-point, that has the
// noise of levels.front() already: sigma_max * z(0) to begin with. All of them throw Error (usage) on an argument that
// breaks a rule, and on a result of a denoiser or of a noise source that has not x's shape, type and device.

using Tensor = torch::Tensor;  ///< Floating-point; of libtorch.

/// (x [N, ...], sigma) -> denoised sample, of x's shape.
using DenoiserFunction = std::function<Tensor(const Tensor& x, double sigma)>;

/// (x [N, ...], sigma, target) -> x0, of x's shape, such that jump(x, x0, sigma, target) is the sample at level
/// `target` in [0, sigma]. A denoiser is one that does not look at `target`.
using FlowMapFunction = std::function<Tensor(const Tensor& x, double sigma, double target)>;

/// The denoiser in a flow map, whose jump to nowhere is along the slope: f(x, sigma, sigma).
inline DenoiserFunction denoiser_of(FlowMapFunction f) {
  return [f = std::move(f)](const Tensor& x, double sigma) { return f(x, sigma, sigma); };
}

/// The consistency function in a flow map, its jump to the trajectory's end: f(x, sigma, 0).
inline DenoiserFunction consistency_function_of(FlowMapFunction f) {
  return [f = std::move(f)](const Tensor& x, double sigma) { return f(x, sigma, 0); };
}

/// Along the straight line through x at level sigma and x0 at level 0. Well conditioned for the largest levels, where
/// x + (target - sigma) * slope would cancel.
inline Tensor jump(const Tensor& x, const Tensor& x0, double sigma, double target) {
  return x0 + (target / sigma) * (x - x0);
}

/// draw k -> unit Gaussians [N, ...]: draw 0 is the initial noise, draw k the noise added before step k.
using NoiseSource = std::function<Tensor(std::uint32_t draw)>;

}  // namespace onestep
