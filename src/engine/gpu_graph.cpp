#include "gpu_graph.hpp"

#ifdef ONESTEP_CUDA
#include <ATen/cuda/CUDAGraph.h>
#endif

namespace onestep::engine {
namespace {

#ifdef ONESTEP_CUDA
/// libtorch 2.13 has one interface for the graphs of every device but CUDA, whose class is older.
class CudaGraph : public at::GraphImplInterface {
 public:
  void capture_begin(at::MempoolId_t pool, at::GraphCaptureMode mode) override {
    graph_.capture_begin(pool, mode == at::GraphCaptureMode::ThreadLocal ? cudaStreamCaptureModeThreadLocal
                               : mode == at::GraphCaptureMode::Relaxed   ? cudaStreamCaptureModeRelaxed
                                                                         : cudaStreamCaptureModeGlobal);
  }
  void capture_end() override { graph_.capture_end(); }
  void instantiate() override { graph_.instantiate(); }
  void replay() override { graph_.replay(); }
  void reset() override { graph_.reset(); }
  at::MempoolId_t pool() const override { return const_cast<at::cuda::CUDAGraph&>(graph_).pool(); }
  void enable_debug_mode() override { graph_.enable_debug_mode(); }
  void debug_dump(const std::string& path) override { graph_.debug_dump(path); }

 private:
  at::cuda::CUDAGraph graph_;
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
