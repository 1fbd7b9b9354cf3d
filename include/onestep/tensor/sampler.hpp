#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>

namespace onestep {

using Tensor = torch::Tensor;

/// (x [N, ...], sigma) -> denoised sample, of x's shape.
using DenoiserFunction = std::function<Tensor(const Tensor& x, double sigma)>;

/// draw k -> unit Gaussians [N, ...]: draw 0 is the initial noise, draw k the noise added before step k.
using NoiseSource = std::function<Tensor(std::uint32_t draw)>;

}  // namespace onestep
