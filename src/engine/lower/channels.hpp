#pragma once

#include <optional>

#include "run/conditions.hpp"
#include "run/step.hpp"

namespace onestep::engine {

/// A vector of a number a channel, known, or a value of the conditions.
struct Channels {
  torch::Tensor known = {};  ///< float32 [C]
  Conditions::Slot slot = 0;
};

Channels filled(std::int64_t count, double value);

/// a * b, a + b and a / b. What is not known becomes a further value of the conditions.
Channels times(const Channels& a, const Channels& b, Conditions& conditions);
Channels plus(const Channels& a, const Channels& b, Conditions& conditions);
Channels over(const Channels& a, const Channels& b, Conditions& conditions);

/// The number that all channels have, if they have one.
std::optional<float> uniform(const Channels& channels);

/// The numbers of `count` channels as a kernel reads them.
Row as_row(const Channels& channels, std::int64_t count, Conditions& conditions);

}  // namespace onestep::engine
