#pragma once

#include <torch/types.h>

#include <string>

namespace onestep {

/// cpu, cuda or cuda:i. Throws Error (usage) on anything else, and on a device that this machine lacks.
torch::Device find_device(const std::string& name);

}  // namespace onestep
