// A sampler of one's own, through Generator.
#include "onestep/tensor/custom_sampler.hpp"

#include <gtest/gtest.h>

#include "onestep/generator.hpp"
#include "onestep/tensor/diffusion.hpp"

namespace onestep {
namespace {

const Generator& teacher() {
  static const Generator generator = Generator::load(ONESTEP_TEST_MODELS "/fashion-teacher.pt");
  return generator;
}

Request request_of(Sampler sampler) {
  Request request;
  request.seeds = {3, 4, 5};
  request.batch = 2;
  request.sampler = std::move(sampler);
  return request;
}

std::shared_ptr<CustomSampler> own_heun(Levels levels, Churn churn) {
  CustomSampler own;
  own.name = "own heun";
  own.levels = std::move(levels);
  own.sample = [churn](const FlowMapFunction& f, const Tensor& x, const NoiseSource& z,
                       const std::vector<double>& used) { return sample_heun(denoiser_of(f), x, z, used, churn); };
  own.calls = [](std::int64_t count) { return 2 * count - 1; };
  return std::make_shared<CustomSampler>(own);
}

TEST(CustomSampler, DrawsWhatTheSameSamplerOfTheLibraryDraws) {
  const Levels levels{.steps = 3};
  const Churn churn{.amount = 2};
  const Result own = teacher().generate(request_of(own_heun(levels, churn)));
  const Result theirs = teacher().generate(request_of(HeunSampler{levels, churn}));
  EXPECT_EQ(own.report.sampler, "own heun");
  EXPECT_EQ(own.report.levels, theirs.report.levels);
  EXPECT_EQ(own.report.nfe, theirs.report.nfe);
  ASSERT_EQ(own.samples.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(own.samples[i].values, theirs.samples[i].values);
}

TEST(CustomSampler, IsAskedForNoMoreNoiseThanWasGiven) {
  // Churn adds noise in the last step too: draw 2 of two levels, where a sampler of one's own has as many as levels.
  Request request = request_of(own_heun({.values = {80, 1}}, {.amount = 1}));
  const std::size_t one_draw = request.seeds.size() * 28 * 28;
  request.noise.assign(2 * one_draw, 0.5F);
  EXPECT_THROW(teacher().generate(request), Error);
  request.sampler = own_heun({.values = {80, 1}}, {});
  EXPECT_EQ(teacher().generate(request).samples.size(), 3U);
  request.noise.resize(one_draw);
  EXPECT_THROW(teacher().plan(request), Error);
}

TEST(CustomSampler, ThatReturnsWhatIsNoSampleIsRefused) {
  CustomSampler own;
  own.sample = [](const FlowMapFunction&, const Tensor& x, const NoiseSource&, const std::vector<double>&) {
    return x.narrow(0, 0, 1);
  };
  try {
    teacher().generate(request_of(std::make_shared<CustomSampler>(own)));
    FAIL() << "one sample was taken for a batch of two";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_EQ(std::string(error.what()).substr(0, 28), "the result of sampler custom") << error.what();
  }
  EXPECT_THROW(teacher().plan(request_of(std::shared_ptr<CustomSampler>())), Error);
}

/// The Error of a sampler that does this and returns its start.
std::string error_of(const std::function<void()>& act, ErrorKind kind) {
  CustomSampler own;
  own.name = "clumsy";
  own.sample = [&](const FlowMapFunction&, const Tensor& x, const NoiseSource&, const std::vector<double>&) {
    act();
    return x;
  };
  try {
    teacher().generate(request_of(std::make_shared<CustomSampler>(own)));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(CustomSampler, ThatThrowsIsNamedAndNotTheNetwork) {
  EXPECT_EQ(error_of([] { throw std::out_of_range("coefficient 3"); }, ErrorKind::usage),
            "sampler clumsy failed: coefficient 3");
  EXPECT_EQ(error_of([] { torch::ones({2}).narrow(0, 5, 1); }, ErrorKind::usage).find("sampler clumsy failed: "), 0U);
  EXPECT_EQ(error_of([] { throw Error(ErrorKind::file, "coefficients.txt is missing"); }, ErrorKind::file),
            "coefficients.txt is missing");
  EXPECT_NE(error_of([] { throw 7; }, ErrorKind::model).find("no std::exception"), std::string::npos);
  error_of([] { throw std::bad_alloc(); }, ErrorKind::memory);
}

TEST(CustomSampler, LetsThroughWhatTheCallerThrowsAndAsks) {
  const Request request = request_of(own_heun({.steps = 2}, {}));
  EXPECT_THROW(teacher().generate(request, [](const Progress&) { throw 7; }), int);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(teacher().generate(request, {}, stop.get_token()).report.stopped);
}

TEST(CustomSampler, DoesNotEdit) {
  Request request = request_of(own_heun({}, {}));
  request.edit = Stroke{std::vector<float>(28 * 28, 0.0F)};
  EXPECT_THROW(teacher().plan(request), Error);
}

}  // namespace
}  // namespace onestep
