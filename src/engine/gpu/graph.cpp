#include "gpu/graph.hpp"

#include <torch/version.h>

#include <functional>

// libtorch 2.13 has it, 2.11 does not.
#if __has_include(<ATen/core/GraphImplInterface.h>)
#include <ATen/core/GraphImplInterface.h>
#define ONESTEP_GRAPHS_OF_EVERY_DEVICE
#endif

#ifdef ONESTEP_CUDA
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace onestep::engine {
namespace {

#ifdef ONESTEP_GRAPHS_OF_EVERY_DEVICE
class DeviceGraph : public GpuGraph {
 public:
  explicit DeviceGraph(c10::DeviceType device) : graph_(at::create_graph_impl(device)) {}
  void capture_begin() override { graph_->capture_begin({0, 0}, at::GraphCaptureMode::ThreadLocal); }
  void capture_end() override { graph_->capture_end(); }
  void replay() override { graph_->replay(); }

 private:
  std::unique_ptr<at::GraphImplInterface> graph_;
};
#endif

#ifdef ONESTEP_CUDA
/// libtorch has one interface for the graphs of every device but CUDA, whose class is older.
class CudaGraph : public GpuGraph {
 public:
  void capture_begin() override {
    device_ = at::cuda::current_device();
    forget_workspace();
    or_abandon([&] { graph_.capture_begin(pool_, cudaStreamCaptureModeThreadLocal); });
  }
  void capture_end() override {
    or_abandon([&] { graph_.capture_end(); });
    forget_workspace();
  }
  void replay() override { graph_.replay(); }

 private:
  /// cuBLAS keeps a workspace for a stream. That of a capture has to lie in the graph's memory, and no other work is to
  /// have it: other graphs are captured on the same stream, and the workspace goes with the first of them.
  static void forget_workspace() {
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 13
    at::cuda::clearCublasWorkspaces();
#else
    at::cuda::clearCublasWorkspacesForStream(at::cuda::getCurrentCUDAStream().stream());
#endif
  }

  /// Where a capture fails, libtorch 2.13's CUDAGraph may leave its memory to it for ever, and the allocators directing
  /// others' there; 2.14's reset() tidies that up, if it still is to be done.
  void or_abandon(const std::function<void()>& part) {
    try {
      part();
    } catch (const std::exception&) {
      abandon();
      throw;
    }
  }

  void abandon() {
    const auto try_to = [](auto&& call) {
      try {
        call();
      } catch (const std::exception&) {  // it is done already
      }
    };
    namespace device_memory = c10::cuda::CUDACachingAllocator;
    auto* host_memory = at::getHostAllocator(at::kCUDA);
    try_to([&] { graph_.reset(); });
    try_to([&] { device_memory::endAllocateToPool(device_, pool_); });
    try_to([&] { host_memory->end_allocate_to_pool(pool_); });
    try_to([&] {
      if (device_memory::getPoolUseCount(device_, pool_) > 0) device_memory::releasePool(device_, pool_);
    });
    try_to([&] { host_memory->release_pool(pool_); });
  }

  at::cuda::CUDAGraph graph_;
  at::MempoolId_t pool_ = at::cuda::graph_pool_handle();  // known before the capture ends, for one that fails
  c10::DeviceIndex device_ = 0;
};
#endif

}  // namespace

std::unique_ptr<GpuGraph> new_gpu_graph(c10::DeviceType device) {
#ifdef ONESTEP_GRAPHS_OF_EVERY_DEVICE
  if (at::has_graph_impl(device)) return std::make_unique<DeviceGraph>(device);
#endif
#ifdef ONESTEP_CUDA
  if (device == c10::DeviceType::CUDA) return std::make_unique<CudaGraph>();
#endif
  return nullptr;
}

}  // namespace onestep::engine
