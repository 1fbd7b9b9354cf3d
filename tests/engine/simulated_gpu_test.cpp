// What networks and samplers start on a GPU, counted on the simulated one, and what they do where it refuses.
#include "simulated_gpu.hpp"

#include <gtest/gtest.h>

#include "gpu_networks.hpp"
#include "onestep/generator.hpp"

namespace onestep {
namespace engine {
namespace {

TEST(SimulatedGpu, ReplaysAGraphWithoutWaitingForIt) {
  const torch::InferenceMode guard;
  File file("openai_scale_shift");
  const auto network = file.compiled();
  const NetworkInput input = moved(input_of(file.info, 3)), other = moved(input_of(file.info, 3, 0.01));
  const auto counted = [&](const NetworkInput& input) {
    simulated_gpu::reset();
    network->forward(input);
    return simulated_gpu::counts();
  };
  EXPECT_EQ(counted(input).captures, 0) << "the first call may be the only one";
  EXPECT_EQ(counted(input).captures, 1);
  const auto new_level = counted(other), same_level = counted(other), known_level = counted(input);
  for (const auto& counts : {new_level, same_level, known_level}) {
    EXPECT_EQ(counts.captures, 0);
    EXPECT_EQ(counts.replays, 1);
    EXPECT_EQ(counts.waits, 0);
  }
  EXPECT_EQ(same_level.operators, 2) << "x in, the result out";
  EXPECT_GT(known_level.operators, 2) << "its conditions in";
  EXPECT_LT(known_level.operators, new_level.operators) << "which are computed once";
}

TEST(SimulatedGpu, GoesOnWithoutAGraphWhereNoneCanBeCaptured) {
  const torch::InferenceMode guard;
  File file("edm_ddpmpp");
  simulated_gpu::refuse_captures(true);
  const auto network = file.compiled();
  const NetworkInput input = input_of(file.info, 3);
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_LE(largest(network->forward(moved(input)).cpu() - file.on_cpu.forward(input)), 1e-4);
  }
  const EngineReport report = network->report(moved(input));
  simulated_gpu::refuse_captures(false);
  EXPECT_EQ(report.hardware, gpu_under_test.str());
  EXPECT_FALSE(report.is_one_graph);
}

TEST(SimulatedGpu, TriesToCaptureANetworkOnceIfItCannotBe) {
  const torch::InferenceMode guard;
  File file("edm_ddpmpp");
  simulated_gpu::refuse_captures(true);
  simulated_gpu::reset();
  const auto network = file.compiled();
  for (const std::int64_t samples : {1, 1, 3, 3}) network->forward(moved(input_of(file.info, samples)));
  simulated_gpu::refuse_captures(false);
  EXPECT_EQ(simulated_gpu::counts().captures, 1);
}

TEST(SimulatedGpu, GoesOnWithoutAGraphWhereThereIsNoMemoryForOne) {
  const torch::InferenceMode guard;
  File file("openai_scale_shift");
  const auto network = file.compiled();
  const auto error = [&](const NetworkInput& input) {
    return largest(network->forward(moved(input)).cpu() - file.on_cpu.forward(input));
  };
  const NetworkInput large = input_of(file.info, 64), small = input_of(file.info, 1);
  simulated_gpu::reset();
  EXPECT_LE(error(large), 1e-4);
  simulated_gpu::limit_memory(simulated_gpu::counts().most_in_use);
  simulated_gpu::reset();
  for (int turn = 0; turn < 3; ++turn) EXPECT_LE(error(large), 1e-4);
  EXPECT_EQ(simulated_gpu::counts().replays, 0);
  for (int turn = 0; turn < 3; ++turn) EXPECT_LE(error(small), 1e-4);
  EXPECT_EQ(simulated_gpu::counts().replays, 2) << "for one sample there is enough";
  simulated_gpu::limit_memory(simulated_gpu::no_limit);
}

TEST(SimulatedGpu, ComputesFloat32InFloat32) {
  const torch::InferenceMode guard;
  for (const std::string& file : {path("edm_ddpmpp"), std::string(ONESTEP_TINY_MODELS "/Convolutions.pt")}) {
    const ModelInfo info = read_model_info(file);
    const NetworkInput input = input_of(info, 3);
    Plain on_gpu(file, info, gpu_under_test);
    simulated_gpu::reset();
    on_gpu.forward(moved(input));
    EXPECT_GT(simulated_gpu::counts().convolutions_in_tf32, 0) << "TorchScript's own are TF32";
    simulated_gpu::reset();
    for (const bool compile : {true, false}) {
      const auto network =
          load_torchscript(file, info, {.device = gpu_under_test, .compile = compile, .precision = Precision::fp32})
              .network;
      EXPECT_LE(largest(network->forward(moved(input)).cpu() - Plain(file, info, torch::kCPU).forward(input)), 1e-4);
    }
    EXPECT_EQ(simulated_gpu::counts().convolutions_in_tf32, 0) << file;
  }
}

}  // namespace
}  // namespace engine

namespace {

TEST(SimulatedGpu, WaitsForABatchAlone) {
  const auto generator = Generator::load(ONESTEP_TEST_MODELS "/fashion.pt",
                                         {.device = gpu_under_test.str(), .precision = Precision::fp32});
  Request request;
  request.seeds = {0, 1, 2, 3, 4, 5};
  request.batch = 3;
  request.sampler = ConsistencySampler{.levels = {.steps = 2}};
  generator.generate(request);
  simulated_gpu::reset();
  generator.generate(request);
  EXPECT_EQ(simulated_gpu::counts().waits, 2) << "one a batch, for its samples";
  EXPECT_EQ(simulated_gpu::counts().replays, 4);
}

}  // namespace
}  // namespace onestep
