#pragma once

#include <cstdint>
#include <vector>

#include "onestep/model_info.hpp"

namespace onestep {

// Noise for Request::noise, [draws, frames, ...shape]: from frame to frame the first draw goes along the great circle
// between two ends (spherical interpolation, Shoemake 1985), which keeps it as long as a Gaussian is; the further draws
// are the same in all frames. draws: that of the sampler, the number of levels of a consistency sampler. Both throw
// Error (usage) on an argument out of range, and on more than 2^28 values in all.

/// Between the noise of two seeds (Song et al. 2023, section 6.3): the first and the last frame are their samples.
/// frames in [2, 100000]; draws in [1, 10000], the further ones those of `first`.
std::vector<float> interpolate_seeds(const ModelInfo& info, std::uint64_t first, std::uint64_t last, int frames,
                                     int draws = 1);

/// Between two samples of the model's shape, each with the noise of `seed` at level sigma > 0 (Ho et al. 2020, section
/// 4.3). For a sampler that starts at sigma. The higher sigma is, the more the frames leave their ends.
std::vector<float> interpolate_samples(const ModelInfo& info, const std::vector<float>& first,
                                       const std::vector<float>& last, double sigma, std::uint64_t seed, int frames,
                                       int draws = 1);

}  // namespace onestep
