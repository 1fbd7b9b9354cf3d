#include "gpu_graph.hpp"

#ifdef ONESTEP_CUDA
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace onestep::engine {
namespace {

#ifdef ONESTEP_CUDA
/// libtorch has one interface for the graphs of every device but CUDA, whose class is older.
class CudaGraph : public at::GraphImplInterface {
 public:
  void capture_begin(at::MempoolId_t pool, at::GraphCaptureMode mode) override {
    // Known before the capture ends, for one that fails.
    pool_ = pool == at::MempoolId_t{0, 0} ? at::cuda::graph_pool_handle() : pool;
    device_ = at::cuda::current_device();
    forget_workspace();
    or_abandon([&] {
      graph_.capture_begin(pool_, mode == at::GraphCaptureMode::ThreadLocal ? cudaStreamCaptureModeThreadLocal
                                  : mode == at::GraphCaptureMode::Relaxed   ? cudaStreamCaptureModeRelaxed
                                                                            : cudaStreamCaptureModeGlobal);
    });
  }
  void capture_end() override {
    or_abandon([&] { graph_.capture_end(); });
    forget_workspace();
  }
  void instantiate() override { graph_.instantiate(); }
  void replay() override { graph_.replay(); }
  void reset() override { graph_.reset(); }
  at::MempoolId_t pool() const override { return pool_; }
  void enable_debug_mode() override { graph_.enable_debug_mode(); }
  void debug_dump(const std::string&) override {
    TORCH_CHECK_NOT_IMPLEMENTED(false, "libtorch 2.14 writes no CUDA graphs to files");
  }

 private:
  /// cuBLAS keeps a workspace for a stream. That of a capture has to lie in the graph's memory, and no other work is to
  /// have it: other graphs are captured on the same stream, and the workspace goes with the first of them.
  static void forget_workspace() {
    at::cuda::clearCublasWorkspacesForStream(at::cuda::getCurrentCUDAStream().stream());
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
  at::MempoolId_t pool_{0, 0};
  c10::DeviceIndex device_ = 0;
};
#endif

}  // namespace

std::unique_ptr<at::GraphImplInterface> new_gpu_graph(c10::DeviceType device) {
  if (at::has_graph_impl(device)) return at::create_graph_impl(device);
#ifdef ONESTEP_CUDA
  if (device == c10::DeviceType::CUDA) return std::make_unique<CudaGraph>();
#endif
  return nullptr;
}

}  // namespace onestep::engine
