#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "onestep/samplers.hpp"
#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// A sampler of one's own, which Generator runs as it does its own: request.sampler =
/// std::make_shared<CustomSampler>(...). examples/own_sampler.cpp shows one.
struct CustomSampler {
  std::string name = "custom";  ///< Of the report; none of samplers().

  /// From x, noise at levels.front() [N, ...], to samples of the same shape, type and device. levels: falling, above 0.
  /// f(x, sigma, target): the model, as FlowMapFunction says; denoiser_of(f) and consistency_function_of(f) make it
  /// what the other samplers take. z(k), k >= 1: fresh noise of x's shape. Called once a batch, by several threads at
  /// once where several generate at once. A std::exception that leaves it becomes an Error (usage).
  std::function<Tensor(const FlowMapFunction& f, const Tensor& x, const NoiseSource& z,
                       const std::vector<double>& levels)>
      sample;

  /// By default as of the model's default sampler: a consistency model's recommended levels, a diffusion model's
  /// schedule.
  Levels levels = {};

  /// Network calls for so many levels, which progress and NFE are counted by. Empty: one a level.
  std::function<std::int64_t(std::int64_t levels)> calls = {};
};

}  // namespace onestep
