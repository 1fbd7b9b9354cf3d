#include "precision.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "model_file.hpp"

namespace onestep {
namespace {

std::string path(const std::string& model) { return ONESTEP_TEST_MODELS "/" + model + ".pt"; }

LoadedNetwork load(const std::string& model, NetworkOptions options = {}) {
  return load_torchscript(path(model), read_model_info(path(model)), options);
}

/// What another network says, and `error` more.
class Off : public Network {
 public:
  Off(Network& network, double error) : Network("off", network.signature()), network_(network), error_(error) {}
  torch::Tensor run(const NetworkInput& input) override { return network_.forward(input) + error_; }

 private:
  Network& network_;
  double error_;
};

TEST(Precision, IsNearIfSamplesDifferByLessThanALevel) {
  ModelInfo info = read_model_info(path("fashion"));
  info.clip_denoised = false;  // it would hide a part of the error
  const auto exact = load("fashion").network;
  // One step from sigma_max: the sample is c_out = sigma_data times the network's output, nearly. A level is 2/255.
  for (const double levels : {0.0, 0.25, 0.9, 1.1, 3.0}) {
    Off other(*exact, levels * 2 / 255 / info.sigma_data);
    const Verdict verdict = compare_precisions(info, torch::kCPU, *exact, other);
    EXPECT_EQ(verdict.near, levels <= 1) << verdict.found;
    std::ostringstream number;
    number.precision(2);
    number << levels;
    EXPECT_NE(verdict.found.find("by " + number.str() + " of an 8-bit level on average, allowed is 1"),
              std::string::npos)
        << verdict.found;
  }
  Off broken(*exact, std::nan(""));
  EXPECT_FALSE(compare_precisions(info, torch::kCPU, *exact, broken).near);
}

TEST(Precision, OfTheShippedModelsMayBeBf16) {
  for (const std::string model : {"fashion", "fashion-teacher"}) {
    const auto exact = load(model).network;
    const LoadedNetwork reduced = load(model, {.precision = Precision::bf16});
    EXPECT_EQ(reduced.precision.precision, Precision::bf16);
    const Verdict verdict = compare_precisions(read_model_info(path(model)), torch::kCPU, *exact, *reduced.network);
    EXPECT_TRUE(verdict.near) << verdict.found;
    Off same(*exact, 0);
    EXPECT_NE(verdict.found, compare_precisions(read_model_info(path(model)), torch::kCPU, *exact, same).found)
        << "was not bf16";
  }
}

TEST(Precision, ThatIsAutomaticIsBf16IfTheVerdictSaysSo) {
  for (const bool near : {true, false}) {
    NetworkOptions options{.precision = Precision::automatic, .consider_bf16 = true};
    options.compare = [&](Network&, Network&) { return Verdict{near, "differ by so much"}; };
    const LoadedNetwork loaded = load("fashion", options);
    EXPECT_EQ(loaded.precision.precision, near ? Precision::bf16 : Precision::fp32);
    EXPECT_EQ(loaded.precision.why, near ? "differ by so much" : "in bf16 differ by so much");
  }
}

TEST(Precision, ThatIsAutomaticStaysFp32WhereBf16Fails) {
  NetworkOptions options{.precision = Precision::automatic, .consider_bf16 = true};
  options.compare = [](Network&, Network&) -> Verdict { throw std::runtime_error("it broke\nhere"); };
  const LoadedNetwork loaded = load("fashion", options);
  EXPECT_EQ(loaded.precision.precision, Precision::fp32);
  EXPECT_EQ(loaded.precision.why, "in bf16: it broke");
  const NetworkInput one{torch::zeros({1, 1, 28, 28}), {torch::zeros(1), torch::zeros(1, torch::kLong)}};
  EXPECT_TRUE(loaded.network->report(one).compiled);
}

TEST(Precision, ThatIsAutomaticAsksOnlyWhereItIsOfUse) {
  bool asked = false;
  NetworkOptions options{.precision = Precision::automatic, .consider_bf16 = false};
  options.compare = [&](Network&, Network&) {
    asked = true;
    return Verdict{true, ""};
  };
  const LoadedNetwork loaded = load("fashion", options);
  EXPECT_EQ(loaded.precision.precision, Precision::fp32);
  EXPECT_EQ(loaded.precision.why, "this CPU has neither AMX nor AVX512-BF16");
  options.consider_bf16 = true;
  options.compile = false;
  EXPECT_EQ(load("fashion", options).precision.precision, Precision::fp32);
  EXPECT_FALSE(asked) << "libtorch runs in fp32 unless it is asked for something else";
}

}  // namespace
}  // namespace onestep
