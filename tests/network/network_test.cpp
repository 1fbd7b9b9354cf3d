// What a network's signature lets through, and what is said of the rest.
#include "onestep/tensor/network.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "onestep/error.hpp"

namespace onestep {
namespace {

using torch::Tensor;

/// Twice as high and wide, with a condition of as many rows, a picture, and a flag a token.
Signature doubling() {
  using Sizes = std::vector<Size>;
  const auto number = [](std::int64_t number) { return Size{number, ""}; };
  const auto free = [](const char* name, std::int64_t times = 1) { return Size{times, name}; };
  const Size n = free("N"), h = free("H"), w = free("W");
  Signature signature;
  signature.inputs.push_back(Port{"x", ElementType::float32, Sizes{n, number(3), h, w}});
  signature.inputs.push_back(Port{"label", ElementType::int64, Sizes{n}});
  signature.inputs.push_back(Port{"low", ElementType::float32, Sizes{n, number(3), free("h", 2), free("w", 2)}});
  signature.inputs.push_back(Port{"mask", ElementType::boolean, Sizes{n, number(4)}});
  signature.output = Port{"output", ElementType::float32, Sizes{n, number(3), free("H", 2), free("W", 2)}};
  signature.multiples = {{"H", 4}, {"W", 4}};
  return signature;
}

class Fake : public Network {
 public:
  using Run = std::function<Tensor(const NetworkInput&)>;
  explicit Fake(Run run = {}) : Network("fake", doubling()), run_(std::move(run)) {}
  int calls = 0;

 protected:
  Tensor run(const NetworkInput& input) override {
    ++calls;
    if (run_) return run_(input);
    return torch::zeros({input.x.size(0), 3, 2 * input.x.size(2), 2 * input.x.size(3)});
  }

 private:
  Run run_;
};

NetworkInput input(std::int64_t n = 2, std::int64_t h = 8, std::int64_t w = 4) {
  return {torch::zeros({n, 3, h, w}),
          {torch::zeros({n}, torch::kInt64), torch::zeros({n, 3, 2, 6}), torch::zeros({n, 4}, torch::kBool)}};
}

std::string refusal(Fake& network, const NetworkInput& input) {
  try {
    network.forward(input);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing is refused";
}

TEST(Network, TakesEveryShapeThatItsSignatureAllows) {
  Fake network;
  EXPECT_EQ(network.forward(input()).size(2), 16);
  EXPECT_EQ(network.forward(input(1, 4, 400)).size(3), 800);
  EXPECT_EQ(network.calls, 2);
}

TEST(Network, TakesAMapWhereItsSignatureAllowsOne) {
  Signature signature;
  const Size n{1, "N"}, h{1, "H"}, w{1, "W"};
  signature.inputs.push_back(Port{"x", ElementType::float32, {n, {3}, h, w}});
  signature.inputs.push_back(Port{"label", ElementType::int64, {n}, {n, h, w}});
  signature.output = {"output", ElementType::float32, {n, {3}, h, w}};
  class Same : public Network {
   public:
    explicit Same(Signature signature) : Network("same", std::move(signature)) {}

   protected:
    Tensor run(const NetworkInput& input) override { return input.x; }
  };
  const auto refusal = [](const Signature& signature, const Tensor& label) -> std::string {
    try {
      Same(signature).forward({torch::zeros({2, 3, 8, 4}), {label}});
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto zeros = [](std::vector<std::int64_t> sizes) { return torch::zeros(sizes, torch::kInt64); };
  EXPECT_EQ(refusal(signature, zeros({2})), "accepted");
  EXPECT_EQ(refusal(signature, zeros({2, 8, 4})), "accepted");
  EXPECT_EQ(refusal(fixed_at(signature, {2, 3, 8, 4}), zeros({2, 8, 4})), "accepted");
  EXPECT_EQ(refusal(signature, zeros({2, 4, 8})),
            "same: input label is int64 [2, 4, 8]; it must be int64 [N] or [N, H, W] with H = 8, N = 2, W = 4");
  EXPECT_EQ(refusal(signature, zeros({2, 8})),
            "same: input label is int64 [2, 8]; it must be int64 [N] or [N, H, W] with H = 8, N = 2, W = 4");
  signature.inputs[1].map.clear();
  EXPECT_EQ(refusal(signature, zeros({})),
            "same: input label is int64 []; it must be int64 [N] with H = 8, N = 2, W = 4");
}

struct Refused {
  const char* name;
  std::function<void(NetworkInput&)> change;
  const char* message;
};

class NetworkInputs : public testing::TestWithParam<Refused> {};

TEST_P(NetworkInputs, AreRefusedByNameValueAndRule) {
  Fake network;
  NetworkInput changed = input();
  GetParam().change(changed);
  EXPECT_EQ(refusal(network, changed), std::string("fake: ") + GetParam().message);
  EXPECT_THROW(network.report(changed), Error);
  EXPECT_EQ(network.calls, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, NetworkInputs,
    testing::Values(
        Refused{"undefined", [](NetworkInput& i) { i.x = Tensor(); },
                "input x is not given; it must be float32 [N, 3, H, W] with H a multiple of 4, W a multiple of 4"},
        Refused{"double", [](NetworkInput& i) { i.x = i.x.to(torch::kFloat64); },
                "input x is float64 [2, 3, 8, 4]; it must be float32 [N, 3, H, W] with H a multiple of 4, W a multiple "
                "of 4"},
        Refused{"channels",
                [](NetworkInput& i) {
                  i.x = torch::zeros({2, 1, 8, 4});
                },
                "input x is float32 [2, 1, 8, 4]; it must be float32 [N, 3, H, W] with N = 2, H a multiple of 4, W a "
                "multiple of 4"},
        Refused{
            "multiple",
            [](NetworkInput& i) {
              i.x = torch::zeros({2, 3, 8, 6});
            },
            "input x is float32 [2, 3, 8, 6]; it must be float32 [N, 3, H, W] with H = 8, N = 2, W a multiple of 4"},
        Refused{"dimensions", [](NetworkInput& i) { i.x = i.x[0]; },
                "input x is float32 [3, 8, 4]; it must be float32 [N, 3, H, W] with H a multiple of 4, W a multiple of "
                "4"},
        Refused{"no_rows",
                [](NetworkInput& i) { i = i.with_each([](const Tensor& part) { return part.narrow(0, 0, 0); }); },
                "input x is float32 [0, 3, 8, 4]; it must be float32 [N, 3, H, W] with H a multiple of 4, W a multiple "
                "of 4"},
        Refused{"sparse", [](NetworkInput& i) { i.x = i.x.to_sparse(); },
                "input x is sparse; it must be float32 [N, 3, H, W] with H a multiple of 4, W a multiple of 4"},
        Refused{"missing", [](NetworkInput& i) { i.conditions.pop_back(); },
                "3 inputs are given; it takes 4: x, label, low, mask"},
        Refused{"fewer_rows", [](NetworkInput& i) { i.conditions[0] = torch::zeros({1}, torch::kInt64); },
                "input label is int64 [1]; it must be int64 [N] with H = 8, N = 2, W = 4"},
        Refused{"type", [](NetworkInput& i) { i.conditions[0] = torch::zeros({2}); },
                "input label is float32 [2]; it must be int64 [N] with H = 8, N = 2, W = 4"},
        Refused{"odd",
                [](NetworkInput& i) {
                  i.conditions[1] = torch::zeros({2, 3, 3, 6});
                },
                "input low is float32 [2, 3, 3, 6]; it must be float32 [N, 3, 2h, 2w] with H = 8, N = 2, W = 4"},
        Refused{"elsewhere", [](NetworkInput& i) { i.conditions[0] = i.conditions[0].to(torch::kMeta); },
                "input label is on meta; it must be on cpu"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(NetworkOutput, IsHeldAgainstTheSignatureAtEveryCall) {
  int calls = 0;
  Fake network([&](const NetworkInput& input) {
    // Right at first, as in a trial.
    return torch::zeros({input.x.size(0), calls++ == 0 ? 3 : 2, 16, 8});
  });
  network.forward(input());
  EXPECT_EQ(refusal(network, input()),
            "fake: the network's output is float32 [2, 2, 16, 8]; it must be float32 [N, 3, 2H, 2W] with H = 8, N = 2, "
            "W = 4, h = 1, w = 3");
  Fake half([](const NetworkInput&) { return torch::zeros({2, 3, 16, 8}, torch::kHalf); });
  EXPECT_NE(refusal(half, input()).find("output is Half [2, 3, 16, 8]"), std::string::npos);
  Fake scalar([](const NetworkInput&) { return torch::tensor(1.0F); });
  EXPECT_NE(refusal(scalar, input()).find("output is float32 []"), std::string::npos);
}

TEST(NetworkFailure, IsAnErrorWhateverWasThrown) {
  const auto kind = [](Fake::Run run) {
    Fake network(std::move(run));
    try {
      network.forward(input());
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::file;  // of nothing that is thrown here
  };
  EXPECT_EQ(kind([](const NetworkInput&) -> Tensor { throw std::runtime_error("broke"); }), ErrorKind::model);
  EXPECT_EQ(kind([](const NetworkInput& i) -> Tensor { return i.x.reshape({7}); }), ErrorKind::model);
  EXPECT_EQ(kind([](const NetworkInput&) -> Tensor { throw std::bad_alloc(); }), ErrorKind::memory);
  EXPECT_EQ(kind([](const NetworkInput&) -> Tensor { return torch::empty({1LL << 50}); }), ErrorKind::memory);
  EXPECT_EQ(kind([](const NetworkInput&) -> Tensor { throw Error(ErrorKind::numerical, "own"); }),
            ErrorKind::numerical);
}

TEST(Signature, FixedAtAShapeAllowsNoOther) {
  const Signature fixed = fixed_at(doubling(), {2, 3, 8, 4});
  EXPECT_EQ(to_text(fixed.inputs[0].shape), "[N, 3, 8, 4]");
  EXPECT_EQ(to_text(fixed.inputs[2].shape), "[N, 3, 2h, 2w]");
  EXPECT_EQ(to_text(fixed.output.shape), "[N, 3, 16, 8]");
  EXPECT_TRUE(fixed.multiples.empty());
}

}  // namespace
}  // namespace onestep
