#pragma once

#include <string>
#include <utility>
#include <vector>

#include "onestep/tensor/sampler.hpp"
#include "shape_text.hpp"

namespace onestep {

// What the entries of include/onestep/tensor ask of their arguments. All throw Error (usage).

/// A floating-point tensor [N, ...] without a size of 0.
void require_batch(const std::string& name, const Tensor& x);

/// Defined, and of like's shape, type and device.
void require_like(const std::string& name, const Tensor& found, const Tensor& like);

/// Defined, and can be broadcast to like's shape, without a change of it.
void require_broadcasts(const std::string& name, const Tensor& found, const Tensor& like);

/// The same function, every result of which is checked against its x, or, of noise, against `like`. It refers to the
/// one that it is made of.
DenoiserFunction checked(const DenoiserFunction& denoiser);
FlowMapFunction checked(const FlowMapFunction& flow_map);
NoiseSource checked(const NoiseSource& noise, const Tensor& like);

/// A sampler's arguments: x a batch, levels falling and above `lowest`; its function, checked.
template <typename Function>
Function checked(const Function& f, const Tensor& x, const std::vector<double>& levels, double lowest = 0);

/// The same, with its noise.
template <typename Function>
std::pair<Function, NoiseSource> checked(const Function& f, const Tensor& x, const NoiseSource& z,
                                         const std::vector<double>& levels, double lowest = 0) {
  return {checked(f, x, levels, lowest), checked(z, x)};
}

}  // namespace onestep
