#include "model_file.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "archive.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "torchscript_network.hpp"

namespace onestep {
namespace {

std::string path(const std::string& name) { return std::string(ONESTEP_TEST_MODELS) + "/" + name; }

std::string refusal(const std::string& name) {
  try {
    const ModelInfo info = read_model_info(path(name));
    load_torchscript(path(name), info);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ModelFile, IsLoadedAndRun) {
  const ModelInfo info = read_model_info(path("Good.pt"));
  EXPECT_EQ(info.name, "tiny");
  const auto network = load_torchscript(path("Good.pt"), info).network;
  const torch::Tensor x = torch::ones({3, 1, 4, 4});
  EXPECT_TRUE(torch::equal(network->forward({x, {torch::full({3}, 2.0f)}}), torch::full({3, 1, 4, 4}, 2.5f)));
}

// F(x, c) = x / 2 + c at sigma = 2: skip x + out (in x / 2 + ln(2) / 4). 1e-6: float32 rounding of values of about 1.
TEST(Denoiser, PreconditionsTheNetwork) {
  const ModelInfo info = read_model_info(path("Good.pt"));
  const auto network = load_torchscript(path("Good.pt"), info).network;
  const Denoiser f(*network, info, {});
  const double skip = 0.25 / (1.998 * 1.998 + 0.25), total = std::sqrt(4.25), out = 1.998 * 0.5 / total;
  const double expected = skip * 3 + out * (3 / total / 2 + std::log(2.0) / 4);
  const torch::Tensor y = f(torch::full({2, 1, 4, 4}, 3.0f), 2);
  EXPECT_LT((y - expected).abs().max().item<double>(), 1e-6);
}

TEST(Denoiser, IsTheIdentityAtTheBoundary) {
  const ModelInfo info = read_model_info(path("Good.pt"));
  const auto network = load_torchscript(path("Good.pt"), info).network;
  const torch::Tensor x = torch::linspace(-1, 1, 32).reshape({2, 1, 4, 4});
  EXPECT_TRUE(torch::equal(Denoiser(*network, info, {})(x, 0.002), x));
}

TEST(Network, TakesTracedNumbersAsTorchDoes) {
  const ModelInfo info = read_model_info(path("Promotes.pt"));
  const NetworkInput input{torch::ones({2, 1, 4, 4}), {torch::zeros({2})}};
  for (const bool compile : {true, false}) {
    const torch::Tensor y = load_torchscript(path("Promotes.pt"), info, {.compile = compile}).network->forward(input);
    EXPECT_TRUE(y.allclose((torch::arange(4) * 0.3).expand({2, 1, 4, 4}))) << compile;
  }
}

TEST(Network, RunsWhereItIsLoadedWhateverDeviceItNames) {
  const ModelInfo info = read_model_info(path("NamesItsDevice.pt"));
  const NetworkInput input{torch::ones({2, 1, 4, 4}), {torch::zeros({2})}};
  for (const bool compile : {true, false}) {
    const auto network = load_torchscript(path("NamesItsDevice.pt"), info, {.compile = compile}).network;
    EXPECT_TRUE(torch::equal(network->forward(input), (torch::arange(4) + 1.0f).expand({2, 1, 4, 4}))) << compile;
  }
}

struct Refused {
  std::string file, says;
};

class BadModelFile : public testing::TestWithParam<Refused> {};

TEST_P(BadModelFile, IsRefusedWithTheReason) {
  const std::string message = refusal(GetParam().file);
  EXPECT_EQ(message.find(path(GetParam().file) + ": "), 0u) << message;
  EXPECT_NE(message.find(GetParam().says), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Rules, BadModelFile,
    testing::Values(Refused{"Missing.pt", "no such file"}, Refused{"", "is a folder"}, Refused{"Empty.pt", "is empty"},
                    Refused{"Text.pt", "is no TorchScript file, or is damaged"},
                    Refused{"Truncated.pt", "is no TorchScript file, or is damaged"},
                    Refused{"StateDict.pt", "is no TorchScript file (a Python state dict?)"},
                    Refused{"NoMetadata.pt", "holds no onestep.json"},
                    Refused{"ThreeArguments.pt", "forward takes 3 arguments, but its metadata makes 2: x, noise"},
                    Refused{"WrongShape.pt",
                            "the network's output is float32 [2, 1, 2, 4]; it must be float32 [N, 1, 4, 4] with N = 2"},
                    Refused{"WrongType.pt",
                            "the network's output is float64 [2, 1, 4, 4]; it must be float32 [N, 1, 4, 4] with N = 2"},
                    Refused{"NotANumber.pt", "returned NaN or infinity"},
                    Refused{"MixesRows.pt", "from the same sample alone, allowed is 0.001"},
                    Refused{"TakesTheFirstRow.pt", "sample 1 of a batch differs by "},
                    Refused{"Throws.pt", "the network failed: RuntimeError: shape '[7, 7, 7]' is invalid"},
                    Refused{"DrawsDropout.pt", "forward draws random numbers (aten::dropout)"},
                    Refused{"Counts.pt", "forward keeps calls from one call to the next"},
                    Refused{"Accumulates.pt", "forward writes to mean of the module"},
                    Refused{"LooksUp.pt", "call .long() on it in forward"},
                    Refused{"Halved.pt", "it has weights of type Half: call .float() on the module"},
                    Refused{"ReturnsAList.pt", "let forward return the tensor alone"},
                    Refused{"OneSample.pt", "one sample alone succeeds: trace it with a batch of 2 or more"},
                    Refused{"TooNested.pt", "nested more than 1000 deep"},
                    Refused{"Negated.pt", "nested more than 1000 deep"},
                    Refused{"Indented.pt", "nested more than 1000 deep"},
                    Refused{"UnpacksToMore.pt", "more.py in it has more than 67108864 bytes"}));

// What is let through has to be read without overrunning the stack.
TEST(ModelFile, IsReadWhereItsCodeIsNestedAsDeeplyAsItMayBe) { EXPECT_EQ(refusal("Nested.pt"), "accepted"); }

TEST(Network, WritesToInputsOfItsOwn) {
  const ModelInfo info = read_model_info(path("WritesToItsInputs.pt"));
  for (const bool compile : {true, false}) {
    const auto network = load_torchscript(path("WritesToItsInputs.pt"), info, {.compile = compile}).network;
    const NetworkInput input{torch::ones({2, 1, 4, 4}), {torch::tensor({3.0f, 5.0f})}};
    torch::Tensor expected = torch::ones({2, 1, 4, 4});
    expected.select(2, 0).zero_();
    expected += torch::tensor({2.0f, 4.0f}).reshape({2, 1, 1, 1});
    EXPECT_TRUE(torch::equal(network->forward(input), expected)) << compile;
    EXPECT_TRUE(torch::equal(input.x, torch::ones({2, 1, 4, 4}))) << compile;
    EXPECT_TRUE(torch::equal(input.conditions[0], torch::tensor({3.0f, 5.0f}))) << compile;
  }
}

TEST(DamagedParts, AreThoseWhoseCrcIsAnothers) {
  EXPECT_TRUE(damaged_parts(path("Good.pt")).empty());
  EXPECT_EQ(damaged_parts(path("Damaged.pt")).size(), 1u);
  EXPECT_THROW(damaged_parts(path("Text.pt")), Error);
  EXPECT_THROW(damaged_parts(path("Missing.pt")), Error);
}

}  // namespace
}  // namespace onestep
