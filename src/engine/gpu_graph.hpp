#pragma once

#include <ATen/core/GraphImplInterface.h>

namespace onestep::engine {

/// An empty graph of a GPU's work, to be captured and replayed. Null where this libtorch has none for the device.
std::unique_ptr<at::GraphImplInterface> new_gpu_graph(c10::DeviceType device);

}  // namespace onestep::engine
