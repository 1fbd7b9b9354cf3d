// Networks compiled for a GPU, a simulated one, against the same files run by TorchScript on the CPU.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <map>
#include <set>

#include "engine.hpp"
#include "gpu/rewrites.hpp"
#include "libtorch/computes_in.hpp"
#include "model_file.hpp"
#include "network_files.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "simulated_gpu.hpp"
#include "torchscript_network.hpp"
#include "trace/trace.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

NetworkInput input_of(const ModelInfo& info, std::int64_t samples, double sigma_share = 0.3) {
  const at::Generator random = at::detail::createCPUGenerator(static_cast<std::uint64_t>(samples));
  std::vector<std::int64_t> shape = info.sample.shape;
  shape.insert(shape.begin(), samples);
  NetworkInput input = network_input(info, torch::randn(shape, random), info.sigma_max * sigma_share,
                                     info.sigma_min * 2, trial_condition(info, samples));
  input.conditions[0] += torch::arange(samples) * 0.01;
  return input;
}

NetworkInput moved(NetworkInput input) {
  input.x = on_device(input.x, simulated_gpu::device);
  return input;
}

/// A network where TorchScript runs it.
struct Plain : Network {
  Plain(const std::string& file, const ModelInfo& info, torch::Device device)
      : Network(file, denoiser_signature(info), device), module(torch::jit::load(file, device)) {
    module.eval();
  }
  Tensor run(const NetworkInput& input) override { return run_as_it_is(module, input); }
  torch::jit::Module module;
};

struct File {
  explicit File(const std::string& name)
      : file(path(name)),
        info(read_model_info(file)),
        on_cpu(file, info, torch::kCPU),
        on_gpu(file, info, simulated_gpu::device) {}

  std::unique_ptr<Network> compiled(Precision precision = Precision::fp32) {
    const torch::InferenceMode guard;
    const NetworkInput trial = moved(input_of(info, 2));
    return compile(on_gpu.module, std::make_unique<Plain>(file, info, simulated_gpu::device), trial,
                   on_gpu.forward(trial), precision);
  }

  std::string file;
  ModelInfo info;
  Plain on_cpu, on_gpu;
};

std::int64_t steps_called(const EngineReport& report, const std::string& description) {
  return std::count_if(report.steps.begin(), report.steps.end(),
                       [&](const EngineStep& step) { return step.description == description; });
}

class Gpu : public testing::TestWithParam<std::string> {};

/// Of the others there is no trace, and of a recurrence no CPU's operator for others' hardware.
std::vector<std::string> compiled_networks() {
  const std::set<std::string> left{"odd_aliases", "odd_chosen", "scripted_shapes", "scripted_values", "audio"};
  std::vector<std::string> names = networks();
  std::erase_if(names, [&](const std::string& name) { return left.contains(name); });
  return names;
}

INSTANTIATE_TEST_SUITE_P(Networks, Gpu, testing::ValuesIn(compiled_networks()),
                         [](const auto& info) { return info.param; });

TEST_P(Gpu, RunsNetworksAsTheyAre) {
  const torch::InferenceMode guard;
  File file(GetParam());
  const auto network = file.compiled();
  // Each shape one operator after the other, captured, replayed on other numbers, at another level.
  for (const double sigma_share : {0.3, 0.3, 0.01, 0.3}) {
    for (const std::int64_t samples : {1, 3}) {
      NetworkInput input = input_of(file.info, samples, sigma_share);
      if (samples > 1) input.x = input.x.flip(0);
      // The CPU's own operators, in another order of sums at most.
      EXPECT_LE(largest(network->forward(moved(input)).cpu() - file.on_cpu.forward(input)), 1e-4) << samples;
    }
  }
  EXPECT_TRUE(network->report(moved(input_of(file.info, 3))).compiled);

  if (GetParam() == "openai_video") return;  // the CPU's pooling of volumes has no bf16
  // On CPUs with AMX, oneDNN's convolution of 6 channels to 33 with a stride of 3 is wrong in bf16, channels last.
  if (GetParam() == "sizes_13x3") return;
  const auto reduced = file.compiled(Precision::bf16);
  for (int turn = 0; turn < 3; ++turn) {
    const NetworkInput input = input_of(file.info, 3);
    const Tensor output = reduced->forward(moved(input)).cpu(), plain = file.on_cpu.forward(input);
    ASSERT_EQ(output.scalar_type(), torch::kFloat32);
    // 8 bits through some 50 layers; as the CPU's.
    EXPECT_LE(largest(output - plain), 0.1 * std::max(1.0, largest(plain)));
  }
}

TEST(GpuNetwork, ReplaysAGraphWithoutWaitingForIt) {
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

TEST(GpuNetwork, JoinsWhatNetworksSpell) {
  const torch::InferenceMode guard;
  File file("openai_scale_shift");
  const EngineReport report = file.compiled()->report(moved(input_of(file.info, 3)));
  EXPECT_GE(steps_called(report, "scaled_dot_product_attention"), 1);
  EXPECT_EQ(steps_called(report, "softmax"), 0);
  EXPECT_EQ(steps_called(report, "mul"), 0) << "scales of normalizations and of attention";
  EXPECT_EQ(steps_called(report, "linear"), 0) << "embeddings are conditions";
}

TEST(GpuNetwork, GoesOnWithoutAGraphWhereNoneCanBeCaptured) {
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
  EXPECT_EQ(report.hardware, simulated_gpu::device.str());
  EXPECT_FALSE(report.is_one_graph);
}

TEST(GpuNetwork, TriesToCaptureANetworkOnceIfItCannotBe) {
  const torch::InferenceMode guard;
  File file("edm_ddpmpp");
  simulated_gpu::refuse_captures(true);
  simulated_gpu::reset();
  const auto network = file.compiled();
  for (const std::int64_t samples : {1, 1, 3, 3}) network->forward(moved(input_of(file.info, samples)));
  simulated_gpu::refuse_captures(false);
  EXPECT_EQ(simulated_gpu::counts().captures, 1);
}

TEST(GpuNetwork, GoesOnWithoutAGraphWhereThereIsNoMemoryForOne) {
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

TEST(GpuNetwork, KeepsFewShapesAndKnowsThemAgain) {
  const torch::InferenceMode guard;
  File file("edm_ddpmpp");
  const auto network = file.compiled();
  for (int turn = 0; turn < 2; ++turn) {
    for (const std::int64_t samples : {1, 2, 3, 4, 5, 6}) {
      const NetworkInput input = input_of(file.info, samples);
      const Tensor output = network->forward(moved(input)).cpu();
      ASSERT_EQ(output.sizes(), input.x.sizes());
      EXPECT_LE(largest(output - file.on_cpu.forward(input)), 1e-4);
    }
  }
}

TEST(GpuNetwork, SaysWhatCannotBeCompiled) {
  File file("odd_aliases");
  EXPECT_THROW(file.compiled(), NotCompiled);
}

TEST(GpuNetwork, LoadsModelFiles) {
  const torch::InferenceMode guard;
  const ModelInfo info = read_model_info(path("edm_ddpmpp"));
  const NetworkInput input = input_of(info, 3);
  const Tensor plain = Plain(path("edm_ddpmpp"), info, torch::kCPU).forward(input);
  bool near = true;
  NetworkOptions options{.device = simulated_gpu::device, .precision = Precision::automatic};
  options.compare = [&](Network&, Network&) { return Verdict{near, "looked"}; };

  const auto as = [&](const NetworkOptions& options) { return load_torchscript(path("edm_ddpmpp"), info, options); };
  EXPECT_EQ(as(options).precision.precision, Precision::fp32) << "bf16 is not known to be fast there";
  options.consider_bf16 = true;
  EXPECT_EQ(as(options).precision.precision, Precision::bf16);
  near = false;
  const LoadedNetwork exact = as(options);
  EXPECT_EQ(exact.precision.precision, Precision::fp32);
  EXPECT_EQ(exact.precision.why, "in bf16 looked");
  EXPECT_LE(largest(exact.network->forward(moved(input)).cpu() - plain), 1e-4);

  options.precision = Precision::fp16;
  const LoadedNetwork halved = as(options);
  EXPECT_EQ(halved.precision.precision, Precision::fp16);
  const double difference = largest(halved.network->forward(moved(input)).cpu() - plain);
  EXPECT_GT(difference, 0);
  EXPECT_LE(difference, 0.02 * std::max(1.0, largest(plain)));  // 11 bits

  options.compile = false;
  options.precision = Precision::fp32;
  const LoadedNetwork as_it_is = as(options);
  EXPECT_EQ(as_it_is.network->report(moved(input)).why_not, "it was asked to run as it is");
  EXPECT_LE(largest(as_it_is.network->forward(moved(input)).cpu() - plain), 1e-4);
}

TEST(GpuNetwork, RunsAsItIsWhatCannotBeCompiled) {
  const torch::InferenceMode guard;
  const ModelInfo info = read_model_info(path("odd_aliases"));
  const LoadedNetwork loaded =
      load_torchscript(path("odd_aliases"), info, {.device = simulated_gpu::device, .precision = Precision::fp32});
  const NetworkInput input = input_of(info, 3);
  EXPECT_LE(largest(loaded.network->forward(moved(input)).cpu() -
                    Plain(path("odd_aliases"), info, torch::kCPU).forward(input)),
            1e-4);
  EXPECT_NE(loaded.network->report(moved(input)).why_not.find("writes in place"), std::string::npos);
}

TEST(GpuNetwork, RunsWhereItIsLoadedWhateverDeviceItNames) {
  const torch::InferenceMode guard;
  const std::string file = ONESTEP_TINY_MODELS "/NamesItsDevice.pt";
  const ModelInfo info = read_model_info(file);
  const NetworkInput input = moved({torch::ones({2, 1, 4, 4}), {torch::zeros({2})}});
  for (const bool compile : {true, false}) {
    const auto network =
        load_torchscript(file, info,
                         {.device = simulated_gpu::device, .compile = compile, .precision = Precision::fp32})
            .network;
    EXPECT_TRUE(torch::equal(network->forward(input).cpu(), (torch::arange(4) + 1.0f).expand({2, 1, 4, 4})));
    EXPECT_EQ(network->report(input).compiled, compile);
  }
}

TEST(GpuNetwork, RunsANetworkThatUsesNoConditionAtEveryLevel) {
  const torch::InferenceMode guard;
  const std::string file = ONESTEP_TINY_MODELS "/NoCondition.pt";
  const ModelInfo info = read_model_info(file);
  const auto network =
      load_torchscript(file, info, {.device = simulated_gpu::device, .precision = Precision::fp32}).network;
  for (const float level : {0.0f, 1.0f, 2.0f, 3.0f}) {
    const NetworkInput input = moved({torch::ones({2, 1, 4, 4}), {torch::full({2}, level)}});
    EXPECT_TRUE(torch::equal(network->forward(input).cpu(), torch::full({2, 1, 4, 4}, 3.0f))) << level;
  }
  EXPECT_TRUE(network->report(moved({torch::ones({2, 1, 4, 4}), {torch::zeros({2})}})).compiled);
}

/// A network in TorchScript, of one weight, [2, 2, 3, 3].
torch::jit::Module module_of(const std::string& forward, torch::Device device) {
  torch::jit::Module module("network");
  module.register_buffer("weight", torch::linspace(-1, 1, 36, device).reshape({2, 2, 3, 3}));
  module.define("def forward(self, x, noise):\n" + forward);
  module.eval();
  return module;
}

TEST(GpuNetwork, GivesFloat32ToWhatTakesNothingLess) {
  const torch::InferenceMode guard;
  const std::string forward = R"(
    y = torch.conv2d(x, self.weight, padding=[1, 1]) + noise.reshape([-1, 1, 1, 1])
    spectrum = torch.fft_rfft2(y.float())
    pairs = torch.view_as_complex(y.reshape([-1, 2, 4, 2, 2]).contiguous())
    return torch.fft_irfft2(spectrum * 0.5, [4, 4]) + torch.view_as_real(pairs * pairs).reshape(y.size())
)";
  torch::jit::Module on_cpu = module_of(forward, torch::kCPU), on_gpu = module_of(forward, simulated_gpu::device);
  const NetworkInput input{torch::linspace(-2, 2, 96).reshape({3, 2, 4, 4}), {torch::ones({3})}};
  const Tensor plain = run_as_it_is(on_cpu, input);
  auto as_it_is = libtorch_network("network", signature_of({2, 4, 4}), simulated_gpu::device, on_gpu, Precision::fp32);
  const auto network =
      compile(on_gpu, std::move(as_it_is), moved(input), on_device(plain, simulated_gpu::device), Precision::bf16);
  const double difference = largest(network->forward(moved(input)).cpu() - plain);
  EXPECT_GT(difference, 0);
  EXPECT_LE(difference, 0.02 * largest(plain));  // factors of 8 bits, one of them squared
}

TEST(GpuNetwork, RepeatsPixelsInTheTypeTheyCameIn) {
  const torch::InferenceMode guard;
  torch::jit::Module module = module_of(R"(
    return torch.upsample_nearest2d(torch.conv2d(x, self.weight), None, [2.0, 2.0]) * noise.reshape([-1, 1, 1, 1])
)",
                                        simulated_gpu::device);
  Trace traced = trace(module, moved({torch::ones({1, 2, 4, 4}), {torch::ones({1})}}));
  Converted converted;
  convert_products(traced, torch::kBFloat16, converted);
  const ComputesIn reduced(simulated_gpu::device.type(), Precision::bf16);
  std::map<ValueId, Tensor> values;
  for (const ValueId input : traced.inputs)
    values[input] = torch::ones(traced.values[input].sizes, simulated_gpu::device);
  for (const Operation& operation : traced.operations) {
    const std::vector<Tensor> results = call(operation, [&](ValueId value) {
      const Tensor& constant = traced.values[value].constant;
      return constant.defined() ? constant : values.at(value);
    });
    values[operation.results[0]] = results[0];
    if (operation.name == "aten::upsample_nearest2d") {
      EXPECT_EQ(results[0].scalar_type(), torch::kBFloat16);
    }
  }
  EXPECT_EQ(values.at(traced.result).sizes(), torch::IntArrayRef({1, 2, 4, 4}));
}

TEST(GpuNetwork, ComputesFloat32InFloat32) {
  const torch::InferenceMode guard;
  for (const std::string& file : {path("edm_ddpmpp"), std::string(ONESTEP_TINY_MODELS "/Convolutions.pt")}) {
    const ModelInfo info = read_model_info(file);
    const NetworkInput input = input_of(info, 3);
    Plain on_gpu(file, info, simulated_gpu::device);
    simulated_gpu::reset();
    on_gpu.forward(moved(input));
    EXPECT_GT(simulated_gpu::counts().convolutions_in_tf32, 0) << "TorchScript's own are TF32";
    simulated_gpu::reset();
    for (const bool compile : {true, false}) {
      const auto network =
          load_torchscript(file, info,
                           {.device = simulated_gpu::device, .compile = compile, .precision = Precision::fp32})
              .network;
      EXPECT_LE(largest(network->forward(moved(input)).cpu() - Plain(file, info, torch::kCPU).forward(input)), 1e-4);
    }
    EXPECT_EQ(simulated_gpu::counts().convolutions_in_tf32, 0) << file;
  }
}

TEST(GpuNetwork, AsksForProductsOfMatricesWithoutTf32) {
  EXPECT_FALSE(at::NoTF32Guard::should_disable_tf32());
  {
    const ComputesIn exactly(torch::kCUDA, Precision::fp32);
    EXPECT_TRUE(at::NoTF32Guard::should_disable_tf32());
  }
  EXPECT_FALSE(at::NoTF32Guard::should_disable_tf32());
  const ComputesIn reduced(torch::kCUDA, Precision::fp16);
  EXPECT_TRUE(at::autocast::is_autocast_enabled(torch::kCUDA));
  EXPECT_EQ(at::autocast::get_autocast_dtype(torch::kCUDA), torch::kHalf);
}

}  // namespace
}  // namespace onestep::engine
