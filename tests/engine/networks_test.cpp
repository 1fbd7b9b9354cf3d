// Whole networks, compiled, against the same files run by TorchScript.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <fstream>
#include <map>
#include <thread>

#include "engine.hpp"
#include "model_file.hpp"
#include "network_files.hpp"
#include "onestep/tensor/denoiser.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

NetworkInput input_of(const ModelInfo& info, std::int64_t samples) {
  torch::manual_seed(5);
  std::vector<std::int64_t> shape = info.sample.shape;
  shape.insert(shape.begin(), samples);
  NetworkInput input =
      network_input(info, torch::randn(shape), info.sigma_max / 3, info.sigma_min * 2, trial_condition(info, samples));
  input.conditions[0] += torch::arange(samples).div(3, "floor") * 0.01;  // several levels in one batch
  return input;
}

struct File {
  ModelInfo info;
  torch::jit::Module module;

  explicit File(const std::string& path) : info(read_model_info(path)), module(torch::jit::load(path)) {
    module.eval();
  }

  Tensor plain(const NetworkInput& input) { return run_as_it_is(module, input); }
  std::unique_ptr<Network> compiled(std::optional<kernels::bf16::Unit> unit = std::nullopt) {
    const NetworkInput trial = input_of(info, 2);
    return compile("network", denoiser_signature(info), trace(module, trial.row(0)), trial, plain(trial), unit);
  }
};

std::int64_t left_to_libtorch(const EngineReport& report) {
  return std::count_if(report.steps.begin(), report.steps.end(),
                       [](const EngineStep& step) { return step.what.ends_with("as it is"); });
}

/// Of those that can't be compiled, what stands in the way.
const std::map<std::string, std::string> not_compiled{{"odd_aliases", "writes in place to what others look at"},
                                                      {"odd_chosen", "takes tensors in a list of optional ones"},
                                                      {"odd_doubles", "aten::_convolution gives Double, not float32"},
                                                      {"scripted_shapes", "does not know prim::DictConstruct"},
                                                      {"scripted_values", "depends on values of its input"}};

/// The styles of the projects whose models people have: nothing in them is left to libtorch.
bool is_known_style(const std::string& name) {
  if (name == "diffusers_filtered") return false;  // its filter takes each channel for an image
  for (const char* style : {"openai_", "edm", "diffusers_", "own", "ddpm", "batch_norm", "latent_diffusion", "dit_",
                            "encoder_layer", "flow_map", "guidance", "linear_attention", "scripted_unet", "sizes_"}) {
    if (name.starts_with(style)) return true;
  }
  return false;
}

TEST(Networks, AreThere) { EXPECT_GE(networks().size(), 60u); }

class Networks : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Styles, Networks, testing::ValuesIn(networks()), [](const auto& info) { return info.param; });

TEST_P(Networks, AreCompiledToWhatTheyAre) {
  const torch::InferenceMode guard;
  File file(path(GetParam()));
  std::unique_ptr<Network> network;
  try {
    network = file.compiled();
  } catch (const NotCompiled& reason) {
    ASSERT_TRUE(not_compiled.contains(GetParam())) << reason.what();
    EXPECT_NE(std::string(reason.what()).find(not_compiled.at(GetParam())), std::string::npos) << reason.what();
    return;
  }
  EXPECT_FALSE(not_compiled.contains(GetParam())) << "is compiled now";
  const std::int64_t left = left_to_libtorch(network->report(input_of(file.info, 1)));
  if (is_known_style(GetParam())) {
    EXPECT_EQ(left, 0);
  }
  for (const std::int64_t samples : {1, 2, 7}) {
    const NetworkInput input = input_of(file.info, samples);
    const Tensor output = network->forward(input), plain = file.plain(input);
    ASSERT_EQ(output.sizes(), plain.sizes());
    // float32 sums in another order, through some 50 layers, in outputs of about 1.
    EXPECT_LE(largest(output - plain), 1e-4) << samples << " samples";
    for (std::int64_t i = 0; i < samples; ++i) {
      // The same bits; libtorch's own operators sum in another order with another number of threads.
      EXPECT_LE(largest(network->forward(input.row(i)) - output.narrow(0, i, 1)), left == 0 ? 0 : 1e-5);
    }
  }
}

// On the fastest unit that this CPU has.
TEST_P(Networks, InBf16AreNearlyWhatTheyAre) {
  if (not_compiled.contains(GetParam())) return;  // shown above
  const torch::InferenceMode guard;
  File file(path(GetParam()));
  const auto network = file.compiled(kernels::bf16::units().back());
  const NetworkInput input = input_of(file.info, 3);
  const Tensor output = network->forward(input), plain = file.plain(input);
  const EngineReport report = network->report(input_of(file.info, 1));
  EXPECT_EQ(report.precision, Precision::bf16);
  const double size = plain.square().mean().sqrt().item<double>();
  // Each number is rounded to 8 bits, a relative error of 0.002 in the mean, through some 50 layers.
  EXPECT_LE((output - plain).abs().mean().item<double>(), 0.02 * size);
  for (std::int64_t i = 0; i < 3; ++i) {
    const double most = left_to_libtorch(report) == 0 ? 0 : 0.05 * size;  // a rounding more or less
    EXPECT_LE(largest(network->forward(input.row(i)) - output.narrow(0, i, 1)), most);
  }
}

class Shipped : public testing::TestWithParam<std::string> {
 protected:
  File file_{std::string(ONESTEP_SHIPPED_MODELS) + "/" + GetParam() + ".pt"};
};

INSTANTIATE_TEST_SUITE_P(Models, Shipped, testing::Values("fashion", "fashion-teacher"),
                         [](const auto& info) { return info.param == "fashion" ? "student" : "teacher"; });

TEST_P(Shipped, AreCompiledWhollyAndToWhatTheyAre) {
  const torch::InferenceMode guard;
  const auto network = file_.compiled();
  const NetworkInput input = input_of(file_.info, 5);
  EXPECT_LE(largest(network->forward(input) - file_.plain(input)), 1e-4);  // as above
  EXPECT_EQ(left_to_libtorch(network->report(input)), 0);
}

TEST_P(Shipped, GiveTheSameBitsWithAnyNumberOfThreadsAndCallers) {
  const torch::InferenceMode guard;
  const auto network = file_.compiled();
  const NetworkInput input = input_of(file_.info, 40);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Tensor alone = network->forward(input);
  at::set_num_threads(3);
  EXPECT_TRUE(torch::equal(network->forward(input), alone));
  EXPECT_TRUE(torch::equal(network->forward(input.row(9)), alone.narrow(0, 9, 1)));
  std::vector<Tensor> results(4);
  {
    std::vector<std::jthread> callers;
    for (Tensor& result : results) callers.emplace_back([&] { result = network->forward(input); });
  }
  for (const Tensor& result : results) EXPECT_TRUE(torch::equal(result, alone));
  at::set_num_threads(threads);
}

TEST_P(Shipped, TakeInputsThatAreNotContiguous) {
  const torch::InferenceMode guard;
  const auto network = file_.compiled();
  NetworkInput input = input_of(file_.info, 4);
  const Tensor output = network->forward(input);
  input.x = input.x.transpose(2, 3).contiguous().transpose(2, 3);
  Tensor& noise = input.conditions[0];
  noise = noise.expand({2, 4}).t().contiguous().t()[1];
  ASSERT_FALSE(input.x.is_contiguous() && noise.is_contiguous());
  EXPECT_TRUE(torch::equal(network->forward(input), output));
}

TEST_P(Shipped, TakeLargeNumbersAndHideNoNaN) {
  const torch::InferenceMode guard;
  const auto network = file_.compiled();
  const NetworkInput input = input_of(file_.info, 2);
  NetworkInput large = input;
  large.x = input.x * 1e4;
  const Tensor output = network->forward(large), plain = file_.plain(large);
  EXPECT_LE(largest(output - plain), 1e-4 * std::max(1.0, largest(plain)));
  NetworkInput broken = input;
  broken.x = input.x.clone();
  broken.x[0][0][3][3] = std::nanf("");
  const Tensor result = network->forward(broken);
  EXPECT_FALSE(result[0].isfinite().all().item<bool>()) << "hides a NaN";
  EXPECT_TRUE(torch::equal(result[1], network->forward(input)[1])) << "the other sample suffers";
}

TEST(Compile, LeavesASingleNumberToLibtorch) {
  const torch::InferenceMode guard;
  torch::jit::Module module("module");
  module.define("def forward(self, x, noise):\n  return x + x.mean() * 2.0\n");
  const NetworkInput input{torch::randn({1, 3, 4, 5}), {torch::zeros({1})}};
  const Tensor expected = input.x + input.x.mean() * 2;
  EXPECT_LE(largest(compile("network", signature_of({3, 4, 5}), trace(module, input), input, expected)->forward(input) -
                    expected),
            1e-6);  // float32 rounding of about 3
}

TEST(Compile, RefusesWhatDiffers) {
  const torch::InferenceMode guard;
  torch::jit::Module module("module");
  module.define("def forward(self, x, noise):\n  return x + x[:1]\n");
  const NetworkInput trial{torch::randn({2, 3, 4, 5}), {torch::zeros({2})}};
  EXPECT_THROW(compile("network", signature_of({3, 4, 5}), trace(module, trial.row(0)), trial,
                       trial.x + trial.x.narrow(0, 0, 1)),
               NotCompiled);
}

// Conditions are kept: a label's or a level's must not be another's, and no more than a thousand are.
TEST(Conditions, AreTheSamplesOwn) {
  const torch::InferenceMode guard;
  File file(std::string(ONESTEP_SHIPPED_MODELS) + "/fashion.pt");
  const auto network = file.compiled();
  for (int turn = 0; turn < 3; ++turn) {
    NetworkInput input = input_of(file.info, 600);
    input.x = input.x.narrow(0, 0, 1).expand(input.x.sizes());
    input.conditions[0] = torch::linspace(-1.5, 1.0, 600) + 0.001 * turn;
    const Tensor output = network->forward(input);
    for (const std::int64_t i : {0, 299, 599}) {
      EXPECT_LE(largest(output.narrow(0, i, 1) - file.plain(input.row(i))), 1e-4);  // as above
    }
  }
}

}  // namespace
}  // namespace onestep::engine
