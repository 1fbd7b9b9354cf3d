#pragma once

#include <c10/core/DeviceType.h>

#include <memory>

namespace onestep::engine {

/// Work of a GPU, captured once on the current stream and replayed.
class GpuGraph {
 public:
  virtual ~GpuGraph() = default;

  /// What this thread starts from now on is captured, not computed; other threads may go on using the device. Both
  /// throw where that cannot be; the graph then is of no use.
  virtual void capture_begin() = 0;
  virtual void capture_end() = 0;

  virtual void replay() = 0;
};

/// An empty graph. Null where this libtorch has none for the device.
std::unique_ptr<GpuGraph> new_gpu_graph(c10::DeviceType device);

}  // namespace onestep::engine
