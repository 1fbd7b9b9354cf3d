#pragma once

#include "onestep/generator.hpp"
#include "onestep/tensor/model.hpp"

namespace onestep {

/// A loaded model, out of sight of the public header, which knows no torch.
struct Generator::Parts : Model {};

}  // namespace onestep
