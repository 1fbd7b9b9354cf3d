// What only a GPU of CUDA shows. Without one, every test of this program is skipped.
#include <c10/cuda/CUDAFunctions.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "gpu_networks.hpp"

namespace onestep {

const torch::Device gpu_under_test(torch::kCUDA, 0);

namespace engine {
namespace {

struct NeedsCuda : testing::Environment {
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "libtorch sees no CUDA device";
    // TorchScript's own convolutions, to which networks are compared.
    at::globalContext().setAllowTF32CuDNN(false);
  }
};
const testing::Environment* const needs_cuda = testing::AddGlobalTestEnvironment(new NeedsCuda);

/// While it lives, whatever makes the host wait for the device throws.
struct NoWaiting {
  NoWaiting() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR); }
  ~NoWaiting() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED); }
};

TEST(CudaGpu, ReplaysAGraphWithoutWaitingForIt) {
  const torch::InferenceMode guard;
  File file("openai_scale_shift");
  const auto network = file.compiled();
  const NetworkInput input = input_of(file.info, 3), other = input_of(file.info, 3, 0.01);
  const NetworkInput input_there = moved(input), other_there = moved(other);
  for (int turn = 0; turn < 2; ++turn) network->forward(input_there);
  EXPECT_TRUE(network->report(input_there).is_one_graph);
  torch::Tensor output, output_of_other;
  {
    const NoWaiting guard;
    output_of_other = network->forward(other_there);
    output = network->forward(input_there);
  }
  // The same operators in float32, their sums in another order, of values of order 1.
  EXPECT_LE(largest(output.cpu() - file.on_cpu.forward(input)), 1e-4);
  EXPECT_LE(largest(output_of_other.cpu() - file.on_cpu.forward(other)), 1e-4);
}

TEST(CudaGpu, ComputesFloat32InFloat32WhereOthersMayUseTf32) {
  const torch::InferenceMode guard;
  at::globalContext().setAllowTF32CuDNN(true);
  for (const std::string& file : {path("edm_ddpmpp"), std::string(ONESTEP_TINY_MODELS "/Convolutions.pt")}) {
    const ModelInfo info = read_model_info(file);
    const NetworkInput input = input_of(info, 3);
    for (const bool compile : {true, false}) {
      const auto network =
          load_torchscript(file, info, {.device = gpu_under_test, .compile = compile, .precision = Precision::fp32})
              .network;
      // TF32 has 11 bits: its error would be some 1e-3.
      EXPECT_LE(largest(network->forward(moved(input)).cpu() - Plain(file, info, torch::kCPU).forward(input)), 1e-4)
          << file;
    }
  }
  at::globalContext().setAllowTF32CuDNN(false);
}

}  // namespace
}  // namespace engine
}  // namespace onestep
