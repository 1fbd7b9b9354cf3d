#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace onestep {

/// Philox4x32-10 (Salmon et al. 2011): four random words from a counter and a key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// Fills z with the elements [0, z.size()) of draw `draw` of `seed`: unit Gaussians by Box-Muller. A sample's noise
/// depends on its seed alone, so that it can be made again without its batch, on any machine.
void gaussian_noise(std::uint64_t seed, std::uint32_t draw, std::span<float> z);

/// Fills z with the noise of an endless plane at (x, y), (x + 1, y), ...: unit Gaussians that depend on the seed, the
/// layer (draw and channel in one number) and the place alone, so that any part of the plane can be made by itself.
/// Coordinates in [-2^31, 2^31); beyond, the plane begins anew.
void plane_noise(std::uint64_t seed, std::uint32_t layer, std::int64_t x, std::int64_t y, std::span<float> z);

/// The label of `seed` when none is asked for, in [0, count).
std::int64_t random_label(std::uint64_t seed, std::int64_t count);

}  // namespace onestep
