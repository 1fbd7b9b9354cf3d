// Whole networks, compiled, against the same files run by TorchScript.
#include <gtest/gtest.h>
#include <torch/script.h>

#include <fstream>
#include <map>
#include <thread>

#include "engine.hpp"
#include "model_file.hpp"
#include "network_files.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "threads.hpp"

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

std::unique_ptr<Network> compiled_as(torch::jit::Module module, const Signature& signature, const NetworkInput& trial,
                                     Precision precision = Precision::fp32) {
  return compile(
      module, libtorch_network("network", signature, torch::kCPU, module, Precision::fp32), trial,
      [&] { return run_as_it_is(module, trial); }, precision);
}

struct File {
  ModelInfo info;
  torch::jit::Module module;

  explicit File(const std::string& path) : info(read_model_info(path)), module(torch::jit::load(path)) {
    module.eval();
  }

  Tensor plain(const NetworkInput& input) { return run_as_it_is(module, input); }
  std::unique_ptr<Network> compiled(Precision precision = Precision::fp32) {
    return compiled_as(module, denoiser_signature(info), input_of(info, 2), precision);
  }
};

std::int64_t left_to_libtorch(const EngineReport& report) {
  return std::count_if(report.steps.begin(), report.steps.end(),
                       [](const EngineStep& step) { return step.description.ends_with("as it is"); });
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
  const auto network = file.compiled(Precision::bf16);
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
  const int before = threads();
  use_threads(1);
  const Tensor alone = network->forward(input);
  use_threads(3);
  EXPECT_TRUE(torch::equal(network->forward(input), alone));
  EXPECT_TRUE(torch::equal(network->forward(input.row(9)), alone.narrow(0, 9, 1)));
  std::vector<Tensor> results(4);
  {
    std::vector<std::jthread> callers;
    for (Tensor& result : results) callers.emplace_back([&] { result = network->forward(input); });
  }
  for (const Tensor& result : results) EXPECT_TRUE(torch::equal(result, alone));
  use_threads(before);
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

torch::jit::Module module_of(const std::string& forward) {
  torch::jit::Module module("module");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define("def forward(self, x, noise):\n" + forward);
  module.eval();
  return module;
}

TEST(Compile, LeavesASingleNumberToLibtorch) {
  const torch::InferenceMode guard;
  torch::jit::Module module = module_of("  return x + x.mean() * 2.0\n");
  const NetworkInput input{torch::randn({1, 3, 4, 5}), {torch::zeros({1})}};
  EXPECT_LE(largest(compiled_as(module, signature_of({3, 4, 5}), input)->forward(input) - run_as_it_is(module, input)),
            1e-6);  // float32 rounding of about 3
}

TEST(Compile, RefusesWhatDiffers) {
  const torch::InferenceMode guard;
  const NetworkInput trial{torch::randn({2, 3, 4, 5}), {torch::zeros({2})}};
  EXPECT_THROW(compiled_as(module_of("  return x + x[:1]\n"), signature_of({3, 4, 5}), trial), NotCompiled);
}

TEST(Compile, LeavesLongLoopsToLibtorch) {
  const torch::InferenceMode guard;
  const NetworkInput trial{torch::randn({2, 1, 2, 2}), {torch::zeros({2})}};
  const std::string loop = "  for i in range(%):\n    x = torch.tanh(x * 0.5)\n  return x\n";
  const auto with_turns = [&](const std::string& turns) {
    return module_of(std::string(loop).replace(loop.find('%'), 1, turns));
  };
  EXPECT_TRUE(compiled_as(with_turns("100"), signature_of({1, 2, 2}), trial)->report(trial).compiled);
  EXPECT_THROW(compiled_as(with_turns("5000"), signature_of({1, 2, 2}), trial), NotCompiled);
}

TEST(Compile, LeavesInputsAsTheyWere) {
  const torch::InferenceMode guard;
  torch::jit::Module module = module_of("  noise += 1.0\n  x *= noise[:, None, None, None]\n  return torch.relu_(x)\n");
  const NetworkInput input{torch::randn({3, 2, 4, 4}), {torch::tensor({0.5f, 1.0f, 2.0f})}};
  const NetworkInput before = input.with_each([](const Tensor& part) { return part.clone(); });
  const Tensor expected = torch::relu(input.x * (input.conditions[0] + 1).reshape({3, 1, 1, 1}));
  const auto as_it_is = libtorch_network("network", signature_of({2, 4, 4}), torch::kCPU, module, Precision::fp32);
  EXPECT_TRUE(torch::equal(as_it_is->forward(input), expected));
  const auto network = compile(
      module, libtorch_network("network", signature_of({2, 4, 4}), torch::kCPU, module, Precision::fp32),
      before.with_each([](const Tensor& part) { return part.narrow(0, 1, 2); }),
      [&] { return expected.narrow(0, 1, 2); }, Precision::fp32);
  EXPECT_LE(largest(network->forward(input) - expected), 1e-6);  // a rounding
  EXPECT_TRUE(network->report(input).compiled);
  EXPECT_TRUE(torch::equal(input.x, before.x));
  EXPECT_TRUE(torch::equal(input.conditions[0], before.conditions[0]));
}

TEST(ChanceOrMemory, IsSeenInTheCode) {
  EXPECT_EQ(chance_or_memory(module_of("  return x + torch.randn_like(x) * 1e-9\n")),
            "draws random numbers (aten::randn_like)");
  EXPECT_EQ(chance_or_memory(module_of("  return torch.dropout(x, 0.5, True)\n")),
            "draws random numbers (aten::dropout)");
  EXPECT_EQ(chance_or_memory(module_of("  return torch.empty_like(x).uniform_() + x\n")),
            "draws random numbers (aten::uniform_)");
  torch::jit::Module counts("module");
  counts.register_attribute("calls", c10::IntType::get(), 0);
  counts.define("def forward(self, x, noise):\n  self.calls = self.calls + 1\n  return x\n");
  EXPECT_EQ(chance_or_memory(counts), "keeps calls from one call to the next");
  torch::jit::Module counts_in_training("module");
  counts_in_training.register_attribute("training", c10::BoolType::get(), true);
  counts_in_training.register_attribute("calls", c10::IntType::get(), 0);
  counts_in_training.define(
      "def forward(self, x, noise):\n  if self.training:\n    self.calls = self.calls + 1\n  return x\n");
  EXPECT_NE(chance_or_memory(counts_in_training), "");
  counts_in_training.eval();
  EXPECT_EQ(chance_or_memory(counts_in_training), "");
}

TEST(ChanceOrMemory, IsNotWhatNeverRuns) {
  EXPECT_EQ(chance_or_memory(module_of("  return torch.dropout(x, 0.5, False) + torch.dropout(x, 0.0, True)\n")), "");
  EXPECT_EQ(chance_or_memory(module_of(
                "  return torch.scaled_dot_product_attention(x, x, x, None, 0.0 if not self.training else 0.1)\n")),
            "");
  EXPECT_EQ(chance_or_memory(module_of("  if self.training:\n    x = x + torch.randn_like(x)\n"
                                       "  return torch.dropout(x, 0.1, self.training)\n")),
            "");
}

/// The same signature with free height and width.
Signature free_signature(const ModelInfo& info, std::int64_t multiple) {
  Signature signature = denoiser_signature(info);
  for (Port* port : {&signature.inputs[0], &signature.output}) {
    port->shape[2] = {1, "H"};
    port->shape[3] = {1, "W"};
  }
  signature.multiples = {{"H", multiple}, {"W", multiple}};
  return signature;
}

NetworkInput input_of_size(const ModelInfo& info, std::int64_t samples, std::int64_t height, std::int64_t width) {
  NetworkInput input = input_of(info, samples);
  torch::manual_seed(height * 1000 + width);
  input.x = torch::randn({samples, input.x.size(1), height, width});
  return input;
}

class FreeSizes : public testing::TestWithParam<std::string> {
 protected:
  static std::string file_of(const std::string& name) {
    return name.starts_with("fashion") ? std::string(ONESTEP_SHIPPED_MODELS) + "/" + name + ".pt" : path(name);
  }
  File file_{file_of(GetParam())};
  // Each level of a network halves the picture; what is shrunk to a fraction of a pixel doesn't fit where it grows
  // again.
  std::int64_t multiple_ = GetParam().starts_with("fashion") ? 4 : 2;
  std::unique_ptr<Network> network_ =
      compiled_as(file_.module, free_signature(file_.info, multiple_), input_of(file_.info, 2));
};

INSTANTIATE_TEST_SUITE_P(Networks, FreeSizes, testing::Values("fashion", "fashion-teacher", "diffusers_consistency"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(FreeSizes, AreCompiledEachAndToWhatTheNetworkIs) {
  const torch::InferenceMode guard;
  for (const auto& [height, width] : {std::pair(14, 14), std::pair(12, 20), std::pair(56, 28), std::pair(64, 64)}) {
    if (height % multiple_ != 0) continue;
    const NetworkInput input = input_of_size(file_.info, 3, height, width);
    const Tensor output = network_->forward(input);
    // float32 sums in another order, through some 50 layers, in outputs of about 1.
    EXPECT_LE(largest(output - file_.plain(input)), 1e-4) << height << "x" << width;
    for (std::int64_t i = 0; i < 3; ++i)
      EXPECT_TRUE(torch::equal(network_->forward(input.row(i)), output.narrow(0, i, 1))) << height << "x" << width;
    EXPECT_EQ(left_to_libtorch(network_->report(input)), 0);
  }
  EXPECT_THROW(network_->forward(input_of_size(file_.info, 1, 29, 28)), Error);
}

TEST_P(FreeSizes, AreComputedAtOnceByManyCallers) {
  const torch::InferenceMode guard;
  std::vector<Tensor> results(8), expected;
  for (std::int64_t i = 0; i < 8; ++i) {
    expected.push_back(file_.plain(input_of_size(file_.info, 1, 8 + 4 * (i % 4), 16)));
  }
  {
    std::vector<std::jthread> callers;
    for (std::int64_t i = 0; i < 8; ++i) {
      const NetworkInput input = input_of_size(file_.info, 1, 8 + 4 * (i % 4), 16);
      callers.emplace_back([&, i, input] { results[static_cast<std::size_t>(i)] = network_->forward(input); });
    }
  }
  for (std::size_t i = 0; i < 8; ++i) EXPECT_LE(largest(results[i] - expected[i]), 1e-4) << i;  // as above
}

// Those that are dropped are compiled again, and their memory is not what comes next is made of.
TEST(Compile, KeepsAFewShapesAndForgetsTheOthers) {
  const torch::InferenceMode guard;
  torch::jit::Module module = module_of("  return torch.avg_pool2d(x, [3, 3], [1, 1], [1, 1]) * 2.0\n");
  Signature signature = signature_of({2, 4, 4});
  for (Port* port : {&signature.inputs[0], &signature.output}) port->shape[3] = {1, "W"};
  const auto sized = [](std::int64_t width) {
    return NetworkInput{torch::linspace(-1, 1, 16 * width).reshape({2, 2, 4, width}), {torch::zeros({2})}};
  };
  const auto network = compiled_as(module, signature, sized(4));
  for (const std::int64_t turn : {0, 1}) {
    for (std::int64_t width = 1; width <= 20; ++width) {
      const NetworkInput input = sized(width + turn);
      EXPECT_LE(largest(network->forward(input) - run_as_it_is(module, input)), 1e-6) << width;
    }
  }
}

TEST(Compile, LetsOutputsBeLargerThanInputs) {
  const torch::InferenceMode guard;
  torch::jit::Module module("module");
  module.register_buffer("weight", torch::linspace(-1, 1, 3 * 4 * 9).reshape({3, 4, 3, 3}));
  module.define(
      "def forward(self, x):\n"
      "  return torch.conv2d(torch.upsample_nearest2d(x, None, [8.0, 8.0]), self.weight, padding=[1, 1])\n");
  const Signature decoder{{{"z", ElementType::float32, {{1, "N"}, {4}, {1, "h"}, {1, "w"}}}},
                          {"picture", ElementType::float32, {{1, "N"}, {3}, {8, "h"}, {8, "w"}}},
                          {}};
  const auto network = compiled_as(module, decoder, {torch::randn({2, 4, 3, 5}), {}});
  for (const auto& [height, width] : {std::pair(3, 5), std::pair(2, 7)}) {
    const NetworkInput input{torch::randn({3, 4, height, width}), {}};
    EXPECT_LE(largest(network->forward(input) - run_as_it_is(module, input)), 1e-4);  // sums of 36 in another order
    EXPECT_TRUE(network->report(input).compiled);
  }
}

TEST(Compile, LeavesTokensToLibtorchAndTakesThemAsConditions) {
  const torch::InferenceMode guard;
  torch::jit::Module module("module");
  module.define(
      "def forward(self, x, text):\n"
      "  q, k = x.flatten(2).transpose(1, 2), text\n"
      "  y = torch.scaled_dot_product_attention(q, k, k)\n"
      "  return x + y.transpose(1, 2).reshape(x.shape)\n");
  const Signature signature{{{"x", ElementType::float32, {{1, "N"}, {8}, {1, "H"}, {4}}},
                             {"text", ElementType::float32, {{1, "N"}, {1, "L"}, {8}}}},
                            {"y", ElementType::float32, {{1, "N"}, {8}, {1, "H"}, {4}}},
                            {}};
  const auto input_of = [](std::int64_t height, std::int64_t length) {
    return NetworkInput{torch::randn({3, 8, height, 4}), {torch::randn({3, length, 8})}};
  };
  const NetworkInput trial = input_of(4, 7);
  const auto network =
      compiled_as(module, signature, trial.with_each([](const Tensor& part) { return part.narrow(0, 0, 2); }));
  for (const std::int64_t length : {7, 1, 77}) {
    for (const std::int64_t height : {4, 6}) {
      const NetworkInput input = input_of(height, length);
      EXPECT_LE(largest(network->forward(input) - run_as_it_is(module, input)), 1e-5) << length;  // values of about 4
      EXPECT_TRUE(network->report(input).compiled);
    }
  }
  torch::jit::Module encoder("module");
  encoder.register_buffer("table", torch::randn({10, 8}));
  encoder.define("def forward(self, ids):\n  return torch.embedding(self.table, ids)\n");
  const Signature of_tokens{{{"ids", ElementType::int64, {{1, "N"}, {1, "L"}}}},
                            {"text", ElementType::float32, {{1, "N"}, {1, "L"}, {8}}},
                            {}};
  EXPECT_THROW(compiled_as(encoder, of_tokens, {torch::zeros({2, 5}, torch::kInt64), {}}), NotCompiled);
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
