#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "onestep/generator.hpp"

namespace onestep {

/// A request without what is a sample's own: seeds, labels, texts, noise.
Request without_samples(const Request& request);

/// The request that draws these samples of `request` alone, by their places in it: their seeds, and their labels, texts
/// and noise, which are dealt in turn.
Request part_of(const Request& request, const ModelInfo& info, std::span<const std::size_t> places);

/// first, first + 1, ...
std::vector<std::size_t> places_from(std::size_t first, std::size_t count);

}  // namespace onestep
