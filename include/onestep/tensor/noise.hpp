#pragma once

#include <cstdint>
#include <vector>

#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// Row i of draw k: draw k of seeds[i], float32 [seeds, ...shape] on the CPU (Philox4x32-10; docs/design.md, "Noise").
/// Throws Error (usage) on no seeds, on a size below 1, and on more values than can be counted.
NoiseSource seeded_noise(std::vector<std::uint64_t> seeds, std::vector<std::int64_t> shape);

}  // namespace onestep
