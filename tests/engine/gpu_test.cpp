// Networks compiled for a GPU against the same files run by TorchScript on the CPU.
#include <gtest/gtest.h>
#include <torch/script.h>

#include <map>
#include <set>

#include "engine.hpp"
#include "gpu/gpu_network.hpp"
#include "gpu/rewrites.hpp"
#include "gpu_networks.hpp"
#include "libtorch/computes_in.hpp"
#include "trace/trace.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

std::int64_t steps_called(const EngineReport& report, const std::string& description) {
  return std::count_if(report.steps.begin(), report.steps.end(),
                       [&](const EngineStep& step) { return step.description == description; });
}

class Gpu : public testing::TestWithParam<std::string> {};

/// Of the others there is no trace, and of a recurrence no CPU's operator for others' hardware.
std::vector<std::string> compiled_networks() {
  std::set<std::string> left{"odd_aliases", "odd_chosen", "scripted_shapes", "scripted_values"};
  if (!gpu_under_test.is_cuda()) left.insert("audio");
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

  if (GetParam() == "openai_video" && !gpu_under_test.is_cuda()) return;  // the CPU's pooling of volumes has no bf16
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

TEST(GpuNetwork, JoinsWhatNetworksSpell) {
  const torch::InferenceMode guard;
  File file("openai_scale_shift");
  const EngineReport report = file.compiled()->report(moved(input_of(file.info, 3)));
  EXPECT_GE(steps_called(report, "scaled_dot_product_attention"), 1);
  EXPECT_EQ(steps_called(report, "softmax"), 0);
  EXPECT_EQ(steps_called(report, "mul"), 0) << "scales of normalizations and of attention";
  EXPECT_EQ(steps_called(report, "linear"), 0) << "embeddings are conditions";
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
  NetworkOptions options{.device = gpu_under_test, .precision = Precision::automatic};
  options.compare = [&](Network&, Network&) { return Verdict{near, "looked"}; };

  const auto as = [&](const NetworkOptions& options) { return load_torchscript(path("edm_ddpmpp"), info, options); };
  EXPECT_EQ(as(options).precision.precision, has_fast_bf16(gpu_under_test) ? Precision::bf16 : Precision::fp32);
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
      load_torchscript(path("odd_aliases"), info, {.device = gpu_under_test, .precision = Precision::fp32});
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
        load_torchscript(file, info, {.device = gpu_under_test, .compile = compile, .precision = Precision::fp32})
            .network;
    EXPECT_TRUE(torch::equal(network->forward(input).cpu(), (torch::arange(4) + 1.0f).expand({2, 1, 4, 4})));
    EXPECT_EQ(network->report(input).compiled, compile);
  }
}

TEST(GpuNetwork, RunsANetworkThatUsesNoConditionAtEveryLevel) {
  const torch::InferenceMode guard;
  const std::string file = ONESTEP_TINY_MODELS "/NoCondition.pt";
  const ModelInfo info = read_model_info(file);
  const auto network = load_torchscript(file, info, {.device = gpu_under_test, .precision = Precision::fp32}).network;
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
  torch::jit::Module on_cpu = module_of(forward, torch::kCPU), on_gpu = module_of(forward, gpu_under_test);
  const NetworkInput input{torch::linspace(-2, 2, 96).reshape({3, 2, 4, 4}), {torch::ones({3})}};
  const Tensor plain = run_as_it_is(on_cpu, input);
  auto as_it_is = libtorch_network("network", signature_of({2, 4, 4}), gpu_under_test, on_gpu, Precision::fp32);
  const auto network = compile(
      on_gpu, std::move(as_it_is), moved(input), [&] { return on_device(plain, gpu_under_test); }, Precision::bf16);
  const double difference = largest(network->forward(moved(input)).cpu() - plain);
  EXPECT_GT(difference, 0);
  EXPECT_LE(difference, 0.02 * largest(plain));  // factors of 8 bits, one of them squared
}

TEST(GpuNetwork, RepeatsPixelsInTheTypeTheyCameIn) {
  const torch::InferenceMode guard;
  torch::jit::Module module = module_of(R"(
    return torch.upsample_nearest2d(torch.conv2d(x, self.weight), None, [2.0, 2.0]) * noise.reshape([-1, 1, 1, 1])
)",
                                        gpu_under_test);
  Trace traced = trace(module, moved({torch::ones({1, 2, 4, 4}), {torch::ones({1})}}));
  Converted converted;
  convert_products(traced, torch::kBFloat16, converted);
  const ComputesIn reduced(gpu_under_test.type(), Precision::bf16);
  std::map<ValueId, Tensor> values;
  for (const ValueId input : traced.inputs) values[input] = torch::ones(traced.values[input].sizes, gpu_under_test);
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
