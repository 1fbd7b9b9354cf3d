// A network that is perfect in its paper's own variables gives, through any prediction and noise input, the exact
// consistency function: one step is exact. Data is Gaussian N(mu, s^2), for which that function is known.
#include "onestep/tensor/denoiser.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "noise_input.hpp"
#include "onestep/tensor/consistency.hpp"
#include "preconditioning.hpp"

namespace onestep {
namespace {

using torch::Tensor;

constexpr double mu = 0.3, s = 0.5, data = 0.5, boundary = 0.002;

// The start of the trajectory through x = data + sigma * noise.
Tensor exact(const Tensor& x, double sigma) { return mu + (x - mu) * s / std::sqrt(s * s + sigma * sigma); }

double largest(const Tensor& x) { return x.abs().max().item<double>(); }

/// Says what a paper's network would: given its own x and x0, its raw output.
class Perfect : public Network {
 public:
  using Raw = std::function<Tensor(const Tensor& own_x, const Tensor& x0)>;
  Perfect(const ModelInfo& info, double to_x, double sigma, Raw raw)
      : Network("perfect", denoiser_signature(info)), to_x_(to_x), sigma_(sigma), raw_(std::move(raw)) {}

  Tensor run(const NetworkInput& input) override {
    last = input;
    return raw_(input.x, exact(input.x * to_x_, sigma_));
  }

  NetworkInput last;

 private:
  double to_x_, sigma_;
  Raw raw_;
};

/// A prediction in the variables of its paper: own x = x / to_x at sigma, and the raw output.
struct Paper {
  const char* name;
  std::function<double(double sigma)> to_x;
  std::function<Tensor(double sigma, const Tensor& own_x, const Tensor& x0)> raw;
};

double alpha(double sigma) { return std::sqrt(1 / (1 + sigma * sigma)); }
double beta(double sigma) { return std::sqrt(1 - alpha(sigma) * alpha(sigma)); }  // deviation of the noise in x_t

const std::vector<Paper>& papers() {
  static const std::vector<Paper> all{
      {"edm", [](double sigma) { return std::hypot(sigma, data); },
       [](double sigma, const Tensor& own, const Tensor& x0) {
         const double total = std::hypot(sigma, data), above = sigma - boundary;
         const double skip = data * data / (above * above + data * data);
         return (x0 - skip * own * total) / (above * data / total);
       }},
      {"trigflow", [](double sigma) { return data / std::cos(std::atan(sigma / data)); },
       // v = cos(t) z - sin(t) x0, with x_t = cos(t) x0 + sin(t) z; F = v / sigma_data.
       [](double sigma, const Tensor& own, const Tensor& x0) {
         const double t = std::atan(sigma / data);
         const Tensor z = (own * data - std::cos(t) * x0) / std::sin(t);
         return (std::cos(t) * z - std::sin(t) * x0) / data;
       }},
      {"epsilon", [](double sigma) { return 1 / alpha(sigma); },
       [](double sigma, const Tensor& own, const Tensor& x0) { return (own - alpha(sigma) * x0) / beta(sigma); }},
      {"v", [](double sigma) { return 1 / alpha(sigma); },
       [](double sigma, const Tensor& own, const Tensor& x0) {
         const Tensor noise = (own - alpha(sigma) * x0) / beta(sigma);
         return alpha(sigma) * noise - beta(sigma) * x0;
       }},
      {"sample", [](double sigma) { return 1 / alpha(sigma); },
       [](double, const Tensor&, const Tensor& x0) { return x0; }},
      {"flow", [](double sigma) { return 1 + sigma; },
       // The velocity, noise - x0, at x_tau = (1 - tau) x0 + tau noise.
       [](double sigma, const Tensor& own, const Tensor& x0) {
         const double tau = sigma / (1 + sigma);
         return (own - (1 - tau) * x0) / tau - x0;
       }},
      {"denoised", [](double) { return 1.0; }, [](double, const Tensor&, const Tensor& x0) { return x0; }},
  };
  return all;
}

ModelInfo info_of(const std::string& prediction) {
  ModelInfo info;
  info.sample.sizes = {{1, "C"}, {1, "L"}};
  info.prediction = prediction;
  info.noise_input = "sigma";
  info.sigma_data = data;
  if (prediction == "edm") info.boundary_sigma = boundary;
  return info;
}

TEST(Predictions, EveryKindIsTested) {
  std::vector<std::string> tested;
  for (const Paper& paper : papers()) tested.emplace_back(paper.name);
  std::vector<std::string> known;
  for (const Prediction& prediction : predictions()) known.push_back(prediction.name);
  EXPECT_EQ(tested, known);
}

TEST(Predictions, OneStepIsExactForEveryKind) {
  for (const Paper& paper : papers()) {
    const ModelInfo info = info_of(paper.name);
    for (const double sigma : {0.05, 1.0, 20.0, 80.0}) {
      Perfect network(info, paper.to_x(sigma), sigma,
                      [&](const Tensor& own, const Tensor& x0) { return paper.raw(sigma, own, x0); });
      const Tensor z = torch::linspace(-3, 3, 96).reshape({2, 3, 16});
      const Denoiser f(network, info, {});
      const Tensor x0 = sample_consistency([&](const Tensor& x, double level) { return f(x, level); }, sigma * z, {},
                                           {sigma}, info.boundary_sigma);
      // A raw output of order 1 is multiplied by up to sigma = 80 (epsilon), each rounded to float32: 80 * 3 * 6e-8,
      // a few times over.
      EXPECT_LT(largest(x0 - exact(sigma * z, sigma)), 5e-5) << paper.name << " at " << sigma;
      EXPECT_LT(largest(network.last.conditions[0] - sigma), 1e-6 * sigma) << paper.name;
    }
  }
}

// x_tau = (1 - tau) x0 + tau s z, whose velocity is s z - x0; sigma = s tau / (1 - tau).
TEST(Predictions, OfAFlowWhoseNoiseIsScaledIsExact) {
  ModelInfo info = info_of("flow");
  info.noise_input = "flow_time";
  info.noise_scale = 1;
  info.flow_noise_scale = 2.5;
  for (const double sigma : {0.05, 1.0, 20.0}) {
    const double tau = sigma / (2.5 + sigma);
    Perfect network(info, 1 / (1 - tau), sigma,
                    [&](const Tensor& own, const Tensor& x0) { return (own - (1 - tau) * x0) / tau - x0; });
    const Tensor x = sigma * torch::linspace(-3, 3, 96).reshape({2, 3, 16});
    EXPECT_LT(largest(Denoiser(network, info, {})(x, sigma) - exact(x, sigma)), 5e-5) << sigma;  // as above
    EXPECT_LT(largest(network.last.conditions[0] - tau), 1e-6);
  }
}

TEST(Predictions, TheFirstInputIsWhatTheModelSays) {
  ModelInfo info = info_of("flow");
  info.flow_noise_scale = 2.5;
  const double tau = 80 / 82.5;
  EXPECT_NEAR(initial_scale(info, 80) * (1 - tau), 2.5, 1e-12) << "s z";
  info.starts_from_unit_noise = false;
  EXPECT_EQ(initial_scale(info, 80), 80) << "tau s z, which is sigma z before it is scaled";
  info = info_of("edm");
  info.starts_from_unit_noise = true;
  EXPECT_NEAR(initial_scale(info, 80) * precondition(info, 80).in, 1, 1e-12);
}

// What models that see pure noise start from is a unit Gaussian at their network (times sigma_data in TrigFlow, which
// the network does not see).
TEST(Predictions, TheFirstInputIsUnitNoiseWhereThePaperSaysSo) {
  for (const Prediction& prediction : predictions()) {
    const ModelInfo info = info_of(prediction.name);
    const double scale = initial_scale(info, 80);
    if (prediction.starts_from_unit_noise) {
      EXPECT_NEAR(scale * precondition(info, 80).in, 1, 1e-12) << prediction.name;
    } else {
      EXPECT_EQ(scale, 80) << prediction.name;
    }
  }
}

// Luo et al. 2023 with s = 10, sigma_data = 0.5, worked in x_t at timestep 7: c_skip x_t + c_out x0.
TEST(Predictions, TheLatentConsistencyBoundaryIsAppliedToTheirOwnVariable) {
  ModelInfo info = info_of("epsilon");
  info.noise_input = "timestep";
  info.timestep_sigmas = timestep_sigmas("scaled_linear", 0.00085, 0.012, 1000);
  info.timestep_scaling = 10;
  const double sigma = info.timestep_sigmas[7], skip = 0.25 / (70 * 70 + 0.25), out = 70 / std::sqrt(70 * 70 + 0.25);
  const double x_t = 0.8, noise = -0.4;
  const double x0 = (x_t - beta(sigma) * noise) / alpha(sigma);
  const Preconditioning c = precondition(info, sigma);
  EXPECT_NEAR(c.skip * (x_t / alpha(sigma)) + c.out * noise, skip * x_t + out * x0, 1e-12);
  info.prediction = "v";  // at timestep 0 the boundary is the identity on x_t, whatever the network says
  const Preconditioning first = precondition(info, info.timestep_sigmas[0]);
  EXPECT_EQ(first.out, 0);
  EXPECT_EQ(first.skip, first.in);
}

TEST(NoiseInput, EncodesAsItsPaperDoes) {
  ModelInfo info = info_of("edm");
  const auto encoded = [&](const char* kind, double scale, double sigma) {
    info.noise_input = kind;
    info.noise_scale = scale;
    return encode_noise(info, sigma);
  };
  EXPECT_NEAR(encoded("log_sigma", 0.25, std::exp(2)), 0.5, 1e-15);
  EXPECT_NEAR(encoded("log_sigma", 0.25, 0), 0.25 * std::log(info.sigma_min), 1e-15);  // a flow map's last target
  EXPECT_EQ(encoded("sigma", 1, 3), 3);
  EXPECT_NEAR(encoded("angle", 2, data), std::numbers::pi / 2, 1e-15);
  EXPECT_NEAR(encoded("flow_time", 1000, 3), 750, 1e-12);
  EXPECT_EQ(encoded("flow_time", 1000, 0), 0);
}

TEST(NoiseInput, FindsTheTimestepNearestOrBetween) {
  ModelInfo info;
  info.noise_input = "timestep";
  info.timestep_sigmas = timestep_sigmas("linear", 1e-4, 0.02, 1000);
  const auto& sigmas = info.timestep_sigmas;
  for (const std::size_t t : {0U, 1U, 500U, 999U}) EXPECT_EQ(encode_noise(info, sigmas[t]), static_cast<double>(t));
  const double between = std::sqrt(sigmas[41] * sigmas[42]);
  info.interpolated_timesteps = true;
  EXPECT_NEAR(encode_noise(info, between), 41.5, 1e-9);
  EXPECT_EQ(encode_noise(info, sigmas[999] * 1.0000001), 999);
  EXPECT_EQ(encode_noise(info, sigmas[0] / 2), 0);
}

// sqrt((1 - a) / a) with a the product of the first (two, all) 1 - beta, in Python with 40 digits.
TEST(NoiseInput, TimestepSigmasFollowTheBetaSchedules) {
  EXPECT_NEAR(timestep_sigmas("linear", 1e-4, 0.02, 1000)[0], std::sqrt(1e-4 / (1 - 1e-4)), 1e-12);
  EXPECT_NEAR(timestep_sigmas("linear", 1e-4, 0.02, 1000)[999], 157.407280810407, 1e-8);
  EXPECT_NEAR(timestep_sigmas("scaled_linear", 0.00085, 0.012, 1000)[999], 14.614641229334, 1e-9);
  // Without the cut the product telescopes: alpha_bar(t) / alpha_bar(0).
  const double part = std::pow(std::cos(0.508 / 1.008 * std::numbers::pi / 2), 2) /
                      std::pow(std::cos(0.008 / 1.008 * std::numbers::pi / 2), 2);
  EXPECT_NEAR(timestep_sigmas("cosine", 0, 0, 1000)[499], std::sqrt((1 - part) / part), 1e-9);
}

/// Its output is its label and its guidance, so that they can be seen.
class Labelled : public Network {
 public:
  explicit Labelled(const ModelInfo& info) : Network("labelled", denoiser_signature(info)) {}

  Tensor run(const NetworkInput& input) override {
    last = input;
    ++calls;
    Tensor shown = input.conditions.back().to(torch::kFloat32);
    if (shown.dim() == 2) shown = (shown * torch::arange(1, shown.size(1) + 1)).sum(1);
    return shown.reshape({-1, 1, 1}) * torch::ones_like(input.x);
  }
  NetworkInput last;
  int calls = 0;
};

TEST(Guidance, CallsOnceForBothAndExtrapolates) {
  ModelInfo info = info_of("denoised");
  info.label_count = 10;
  info.conditions = {{"label", ConditionKind::label, {}, 0, 0, 0, {}, {}, false}};
  info.null_label = 10;
  Labelled network(info);
  const Tensor x = torch::zeros({2, 1, 3});
  const Denoiser f(network, info, {.label = torch::tensor({std::int64_t{3}, std::int64_t{7}}), .guidance = 2.5});
  const Tensor y = f(x, 1);
  EXPECT_EQ(network.calls, 1);
  EXPECT_EQ(network.last.x.size(0), 4);
  EXPECT_NEAR(y[0][0][0].item<double>(), 10 + 2.5 * (3 - 10), 1e-5);
  EXPECT_NEAR(y[1][0][0].item<double>(), 10 + 2.5 * (7 - 10), 1e-5);
}

TEST(Guidance, IsAnInputWhereTheModelTakesIt) {
  ModelInfo info = info_of("denoised");
  info.conditions = {{"guidance", ConditionKind::scalar, {}, 7.5, 0, 1e6, {}, {}, false}};
  Labelled network(info);
  const Denoiser f(network, info, {.label = {}, .guidance = 8});
  f(torch::zeros({2, 1, 3}), 1);
  EXPECT_EQ(network.last.x.size(0), 2);
  EXPECT_TRUE(torch::equal(network.last.conditions[1], torch::full({2}, 8.0F)));
  EXPECT_EQ(network.last.conditions.size(), 2u);
}

TEST(Labels, AreOneHotWhereTheFileSaysSoAndTheNullLabelIsZeros) {
  ModelInfo info = info_of("denoised");
  info.label_count = 3;
  info.conditions = {{"label", ConditionKind::label, {}, 0, 0, 0, {}, {}, false}};
  info.null_label = 3;
  info.one_hot_labels = true;
  Labelled network(info);
  const Denoiser f(network, info, {.label = torch::tensor({std::int64_t{2}, std::int64_t{3}})});
  f(torch::zeros({2, 1, 3}), 1);
  EXPECT_TRUE(torch::equal(network.last.conditions[1], torch::tensor({{0.0F, 0.0F, 1.0F}, {0.0F, 0.0F, 0.0F}})));
}

TEST(FlowMap, IsToldItsTarget) {
  ModelInfo info = info_of("flow");
  info.role = Role::flow_map;
  info.noise_input = "flow_time";
  info.noise_scale = 1;
  Labelled network(info);
  const Denoiser f(network, info, {});
  f(torch::zeros({2, 1, 3}), 3, 1);
  EXPECT_TRUE(torch::equal(network.last.conditions[0], torch::full({2}, 0.75F)));
  EXPECT_TRUE(torch::equal(network.last.conditions[1], torch::full({2}, 0.5F)));
}

}  // namespace
}  // namespace onestep
