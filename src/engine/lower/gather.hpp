#pragma once

#include "run/convolution.hpp"

namespace onestep::engine {

/// What follows samples and channels: length, height and width, or frames as well.
using Extents = std::vector<std::int64_t>;
Extents extents_of(const std::vector<std::int64_t>& sizes);

/// A window that moves over an image.
struct Window {
  Extents kernel, stride, padding, dilation;
  bool transposed = false;
};

/// Where the taps of a window read that makes an image of extents `to` of one of extents `from`; -1: outside.
Gather window_gather(const Extents& from, const Extents& to, const Window& window);

/// Where `gather` reads if what it reads from is itself what `lens`, of one tap, makes of another image.
Gather seen_through(const Gather& lens, Gather gather);

}  // namespace onestep::engine
