// The table of samplers: by name and by struct they are the same, and a rule that is broken is refused before any call.
#include "onestep/samplers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "onestep/error.hpp"
#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/custom_sampler.hpp"
#include "onestep/tensor/noise.hpp"
#include "sampler_plan.hpp"
#include "schedule.hpp"

namespace onestep {
namespace {

ModelInfo model(Role role, const std::string& prediction = "edm") {
  ModelInfo info;
  info.name = "model";
  info.role = role;
  info.prediction = prediction;
  return info;
}

/// Plans outlive the call, and refer to it.
const ModelInfo& a_diffusion_model() {
  static const ModelInfo info = model(Role::diffusion);
  return info;
}

SamplerPlan plan(const Sampler& sampler, const ModelInfo& info = a_diffusion_model()) {
  return plan_sampler(sampler, info, /*force=*/true);
}

/// What the error says.
std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  return "no error";
}

/// The real line stays where it is; every call is counted.
struct Counted {
  std::int64_t calls = 0;
  std::set<std::uint32_t> draws;

  FlowMapFunction f() {
    return [this](const Tensor& x, double, double) {
      ++calls;
      return 0.5 * x;
    };
  }
  NoiseSource z() {
    return [this](std::uint32_t draw) {
      draws.insert(draw);
      return torch::ones({2, 3});
    };
  }
};

TEST(Samplers, MakeAsManyCallsAndDrawsAsTheirRowsSay) {
  for (const SamplerDescription& sampler : samplers()) {
    for (const bool at_most : {false, true}) {
      std::map<std::string, double> options;
      for (const SamplerOption& option : sampler.options) {
        options[option.name] = at_most && std::isfinite(option.high) ? option.high : option.otherwise;
      }
      if (at_most && options.contains("churn")) options["churn"] = 3;
      const SamplerPlan planned = plan(make_sampler(sampler.name, {.values = {80, 5, 1, 0.1}}, options));
      Counted counted;
      const NoiseSource z = counted.z();
      planned.sample(counted.f(), 80 * z(0), z);
      EXPECT_EQ(counted.calls, planned.calls) << sampler.name;
      // gamma 1 and eta 1 add noise in every step; whatever is asked for was announced.
      EXPECT_LT(*counted.draws.rbegin(), planned.draws) << sampler.name;
      EXPECT_EQ(static_cast<std::int64_t>(counted.draws.size()), planned.draws) << sampler.name;
    }
  }
}

TEST(Samplers, AreTheSameByNameAndByStruct) {
  const Levels levels{.steps = 7, .schedule = "linear"};
  for (const SamplerDescription& sampler : samplers()) {
    std::map<std::string, double> options;
    for (const SamplerOption& option : sampler.options) options[option.name] = option.low + 0.25;
    const Sampler made = make_sampler(sampler.name, levels, options);
    const SamplerParts parts = parts_of(made);
    EXPECT_EQ(parts.name, sampler.name);
    EXPECT_EQ(parts.options, options) << sampler.name;
    EXPECT_EQ(parts.levels.steps, levels.steps);
    EXPECT_EQ(parts.levels.schedule, levels.schedule);
    EXPECT_EQ(plan(made).name, sampler.name);
    EXPECT_TRUE(parts_of(make_sampler(sampler.name)).options.empty()) << "a default is no news";
  }
  const auto heun = std::get<HeunSampler>(make_sampler("heun", {}, {{"churn", 40}, {"churn_noise", 1.007}}));
  EXPECT_EQ(heun.churn.amount, 40);
  EXPECT_EQ(heun.churn.noise, 1.007);
}

TEST(Samplers, AnOptionOutOfItsRangeIsRefusedByNameAndValue) {
  for (const SamplerDescription& sampler : samplers()) {
    for (const SamplerOption& option : sampler.options) {
      for (const double value : {option.low - 0.5, option.high + 0.5, std::nan("")}) {
        if (value == option.otherwise) continue;  // infinity + 0.5
        const std::string text = refusal([&] { plan(make_sampler(sampler.name, {}, {{option.name, value}})); });
        EXPECT_EQ(text.substr(0, option.name.size() + 3), option.name + " = ") << text;
      }
    }
  }
  EXPECT_EQ(refusal([] { plan(DdimSampler{.eta = 1.5}); }), "eta = 1.5 must lie in [0, 1]");
  EXPECT_EQ(refusal([] { plan(HeunSampler{.churn = {.noise = -1}}); }),
            "churn_noise = -1 must be a finite number, 0 or more");
}

TEST(Samplers, AnUnknownNameListsTheNamesThereAre) {
  std::string names;
  for (const SamplerDescription& sampler : samplers()) names += (names.empty() ? "" : ", ") + sampler.name;
  EXPECT_EQ(refusal([] { make_sampler("hein"); }), "sampler hein is none of " + names);
  EXPECT_EQ(refusal([] {
              make_sampler("gamma", {}, {{"churn_noise", 1}});
            }),
            "churn_noise is for the sampler heun, not gamma");
  EXPECT_EQ(refusal([] { make_sampler("ddim", {}, {{"etta", 1}}); }), "no sampler has an option etta");
}

TEST(Samplers, TheDefaultSuitsTheModel) {
  EXPECT_EQ(parts_of(default_sampler(model(Role::consistency))).name, "consistency");
  EXPECT_EQ(parts_of(default_sampler(model(Role::flow_map))).name, "gamma");
  EXPECT_EQ(parts_of(default_sampler(model(Role::diffusion))).name, "heun");
  EXPECT_EQ(parts_of(default_sampler(model(Role::diffusion, "flow"))).name, "euler");
  for (const Role role : {Role::consistency, Role::flow_map, Role::diffusion}) {
    EXPECT_EQ(plan_sampler({}, model(role), /*force=*/false).name, parts_of(default_sampler(model(role))).name);
  }
}

TEST(Samplers, OneThatDoesNotSuitTheModelIsRefusedUnlessForced) {
  const std::string expected =
      "sampler consistency does not suit model: a diffusion model's denoised sample is a mean of many, not a sample; "
      "use heun, euler, ddim";
  EXPECT_EQ(
      refusal([] { plan_sampler(ConsistencySampler{}, model(Role::diffusion), false); }).substr(0, expected.size()),
      expected);
  EXPECT_EQ(plan_sampler(ConsistencySampler{}, model(Role::diffusion), true).name, "consistency");
}

TEST(Levels, AreTheModelsOwnTheSchedulesOrThoseGiven) {
  ModelInfo info = model(Role::consistency);
  info.boundary_sigma = 0.002;
  info.levels[2] = {80, 0.8};
  const std::vector<double> recommended{80, 0.8}, given{40, 3, 1};
  EXPECT_EQ(plan(ConsistencySampler{.levels = {.steps = 2}}, info).levels, recommended);
  EXPECT_EQ(plan(ConsistencySampler{.levels = {.values = given}}, info).levels, given);
  // Where none are recommended, and where a schedule is named: the first n of n + 1, whose last is sigma_min.
  std::vector<double> karras = karras_levels(4, info.sigma_min, info.sigma_max, info.rho);
  EXPECT_EQ(plan(HeunSampler{.levels = {.steps = 4}}, info).levels, karras);
  karras.pop_back();
  EXPECT_EQ(plan(GammaSampler{.levels = {.steps = 3}}, info).levels, karras);
  EXPECT_EQ(plan(ConsistencySampler{}, info).levels, std::vector<double>{80});
}

TEST(Levels, OutOfRangeOrSaidTwiceAreRefused) {
  const auto text = [](Levels levels) { return refusal([&] { plan(EulerSampler{.levels = levels}); }); };
  EXPECT_EQ(text({.steps = 0}), "steps = 0 must lie in [1, 10000]");
  EXPECT_EQ(text({.steps = 10001}), "steps = 10001 must lie in [1, 10000]");
  EXPECT_EQ(text({.steps = 2, .values = {80, 1}}), "steps and levels say the same in two ways; give one of them");
  EXPECT_EQ(text({.values = {80, 1}, .schedule = "karras"}),
            "levels and schedule say the same in two ways; give one of them");
  EXPECT_EQ(text({.values = {80.1}}), "levels[0] = 80.1 must be at most the model's sigma_max = 80");
  EXPECT_EQ(text({.values = {80, std::nan("")}}), "levels[1] = nan must be a finite number above 0");
}

CustomSampler one_step() {
  return {.name = "mine",
          .sample = [](const FlowMapFunction& f, const Tensor& x, const NoiseSource&,
                       const std::vector<double>& levels) { return f(x, levels.front(), 0); }};
}

SamplerPlan plan_own(CustomSampler sampler, const ModelInfo& info = model(Role::consistency)) {
  return plan_sampler(std::make_shared<CustomSampler>(std::move(sampler)), info, /*force=*/false);
}

TEST(CustomSampler, IsRunAsTheOthersAre) {
  const SamplerPlan planned = plan_own(one_step());
  EXPECT_EQ(planned.name, "mine");
  EXPECT_EQ(planned.levels, std::vector<double>{80});  // as the model's default sampler
  EXPECT_EQ(planned.calls, 1);
  EXPECT_TRUE(torch::equal(planned.sample(Counted{}.f(), torch::ones({2, 3}), {}), torch::full({2, 3}, 0.5)));

  CustomSampler two_calls = one_step();
  two_calls.levels = {.values = {80, 2, 1}};
  two_calls.calls = [](std::int64_t levels) { return 2 * levels; };
  EXPECT_EQ(plan_own(two_calls, model(Role::diffusion)).calls, 6);
  EXPECT_EQ(parts_of(std::make_shared<CustomSampler>(two_calls)).name, "mine");
}

TEST(CustomSampler, ThatBreaksARuleIsRefused) {
  const Tensor x = torch::ones({2, 3});
  EXPECT_NE(refusal([] { plan_sampler(std::shared_ptr<CustomSampler>(), {}, false); }), "no error");
  EXPECT_NE(refusal([] { plan_own({}); }), "no error");

  CustomSampler sampler = one_step();
  sampler.name = "consistency";
  EXPECT_NE(refusal([&] { plan_own(sampler); }), "no error");
  sampler = one_step();
  sampler.calls = [](std::int64_t) { return std::int64_t{0}; };
  EXPECT_NE(refusal([&] { plan_own(sampler); }), "no error");
  sampler = one_step();
  sampler.levels.values = {1, 2};
  EXPECT_EQ(refusal([&] { plan_own(sampler); }), "levels[1] = 2 must be below levels[0] = 1");

  sampler.levels.values = {2, 1};
  for (const Tensor& wrong : {Tensor(), torch::ones({2}), torch::ones({2, 3}, torch::kFloat64), torch::ones({3, 2})}) {
    sampler.sample = [&](const auto&...) { return wrong; };
    const std::string text = refusal([&] { plan_own(sampler).sample(Counted{}.f(), x, Counted{}.z()); });
    EXPECT_EQ(text.substr(0, 26), "the result of sampler mine") << text;
  }
}

TEST(CustomSampler, WhoseOwnOperatorsFailIsNamed) {
  CustomSampler sampler = one_step();
  sampler.sample = [](const FlowMapFunction&, const Tensor& x, const NoiseSource&, const std::vector<double>&) {
    return x + torch::ones({5});  // [2, 3]
  };
  const std::string text = refusal([&] { plan_own(sampler).sample(Counted{}.f(), torch::ones({2, 3}), {}); });
  EXPECT_EQ(text.substr(0, 21), "sampler mine failed: ") << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << "the stack is of no use: " << text;
}

}  // namespace
}  // namespace onestep
