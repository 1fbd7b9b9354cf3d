// The public API, on the shipped models: nothing of torch is included here, and nothing has to be.
#include "onestep/generator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "onestep/save.hpp"

namespace onestep {
namespace {

// A convolution sums in another order at another batch size or thread count: some 1e-6 in a range of 2.
constexpr double same_sample = 1e-5;

const Generator& fashion() {
  static const Generator generator = Generator::load(ONESTEP_TEST_MODELS "/fashion.pt");
  return generator;
}

Request request_of(std::vector<std::uint64_t> seeds) {
  Request request;
  request.seeds = std::move(seeds);
  return request;
}

double difference(const Sample& a, const Sample& b) {
  if (a.values.size() != b.values.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a.values[i]) - b.values[i]));
  }
  return largest;
}

TEST(Generator, ASeedIsTheSameSampleAndLabelInAnyBatchAndOrder) {
  const Result one_batch = fashion().generate(request_of({0, 1, 2, 3, 4}));
  for (const std::int64_t batch : {1, 2, 3}) {
    Request request = request_of({4, 3, 2, 1, 0});
    request.batch = batch;
    const Result other = fashion().generate(request);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(one_batch.samples[i].seed, other.samples[4 - i].seed);
      EXPECT_EQ(one_batch.samples[i].label, other.samples[4 - i].label);
      EXPECT_LT(difference(one_batch.samples[i], other.samples[4 - i]), same_sample) << "batch " << batch;
    }
  }
}

TEST(Generator, DifferentSeedsAreDifferentSamples) {
  Request request = request_of({1, 2});
  request.labels = {7};
  const Result result = fashion().generate(request);
  EXPECT_GT(difference(result.samples[0], result.samples[1]), 0.1);
}

TEST(Generator, SeveralThreadsDrawWhatOneDraws) {
  const Result alone = fashion().generate(request_of({11, 12}));
  std::vector<Result> results(3);
  std::vector<std::thread> threads;
  for (Result& result : results) {
    threads.emplace_back([&result] { result = fashion().generate(request_of({11, 12})); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Result& result : results) {
    ASSERT_EQ(result.samples.size(), 2U);
    EXPECT_LT(difference(alone.samples[0], result.samples[0]), same_sample);
    EXPECT_LT(difference(alone.samples[1], result.samples[1]), same_sample);
  }
}

TEST(Generator, ProgressCountsEveryCallAndTheSinkTakesSamplesInOrder) {
  Request request = request_of({5, 6, 7});
  request.sampler = ConsistencySampler{.levels = {.values = {80, 5}}};
  request.batch = 2;
  std::vector<std::int64_t> calls;
  std::vector<std::uint64_t> seeds;
  const Report report = fashion().generate_each(
      request, [&](Sample&& sample) { seeds.push_back(sample.seed); },
      [&](const Progress& progress) { calls.push_back(progress.calls_done); });
  EXPECT_EQ(seeds, request.seeds);
  EXPECT_TRUE(std::is_sorted(calls.begin(), calls.end()));
  calls.erase(std::unique(calls.begin(), calls.end()), calls.end());  // also called as a batch ends
  EXPECT_EQ(calls, (std::vector<std::int64_t>{1, 2, 3, 4}));          // two batches of two calls
  EXPECT_EQ(report.nfe, 2);
  EXPECT_EQ(report.count, 3);
  EXPECT_FALSE(report.stopped);
}

TEST(Generator, AStopKeepsTheFinishedBatches) {
  Request request = request_of({0, 1, 2, 3, 4, 5});
  request.batch = 2;
  std::stop_source stop;
  const Result result = fashion().generate(
      request, [&](const Progress&) { stop.request_stop(); }, stop.get_token());
  EXPECT_TRUE(result.report.stopped);
  EXPECT_LE(result.samples.size(), 2U);
  EXPECT_EQ(result.samples.size() % 2, 0U);
}

TEST(Generator, WhatTheSinkThrowsPassesThroughAndTheGeneratorGoesOn) {
  const Sink full = [](Sample&&) { throw std::length_error("no more room"); };
  EXPECT_THROW(fashion().generate_each(request_of({0, 1}), full), std::length_error);
  EXPECT_EQ(fashion().generate(request_of({0})).samples.size(), 1U);
}

TEST(Generator, WhatProgressThrowsIsNoFailureOfTheNetwork) {
  const OnProgress broken = [](const Progress&) { throw std::runtime_error("mine"); };
  EXPECT_THROW(
      {
        try {
          fashion().generate(request_of({0}), broken);
        } catch (const std::exception& error) {
          EXPECT_STREQ(error.what(), "mine");
          throw;
        }
      },
      std::runtime_error);
}

TEST(Generator, TakesTheLargestBatch) {
  Request request = request_of({0, 1});
  request.batch = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(fashion().generate(request).samples.size(), 2u);
  EXPECT_THROW(fashion().engine(std::numeric_limits<std::int64_t>::max()), Error);
}

TEST(Generator, PlansWithoutANetworkCall) {
  const Report one = fashion().plan(request_of({0}));
  EXPECT_EQ(one.nfe, 1);
  EXPECT_EQ(one.levels, std::vector<double>{80});
  const Generator teacher = Generator::load(ONESTEP_TEST_MODELS "/fashion-teacher.pt");
  EXPECT_EQ(teacher.plan(request_of({0})).nfe, 35);  // Heun, 18 levels
}

TEST(Generator, RefusesARequestThatBreaksARule) {
  const auto refused = [](auto&& spoil) {
    Request request = request_of({0, 1});
    spoil(request);
    EXPECT_THROW(fashion().plan(request), Error);
    EXPECT_THROW(fashion().generate(request), Error);
  };
  refused([](Request& r) { r.seeds.clear(); });
  refused([](Request& r) { r.labels = {11}; });
  refused([](Request& r) { r.labels = {-1}; });
  refused([](Request& r) { r.batch = 0; });
  refused([](Request& r) { r.noise.assign(3, 0.0F); });
  refused([](Request& r) { r.sampler = ConsistencySampler{.levels = {.steps = 0}}; });
  refused([](Request& r) { r.sampler = ConsistencySampler{.levels = {.values = {1, 80}}}; });
  refused([](Request& r) { r.sampler = ConsistencySampler{.levels = {.values = {std::nan("")}}}; });
  refused([](Request& r) { r.sampler = ConsistencySampler{.levels = {.values = {81}}}; });
  refused([](Request& r) { r.sampler = HeunSampler{.churn = {.amount = -1}}; });
}

TEST(Generator, NoiseThatIsNoNumberIsAnErrorNotAPicture) {
  Request request = request_of({0, 1});
  request.noise.assign(2 * 28 * 28, 0.5F);
  EXPECT_EQ(fashion().generate(request).samples.size(), 2U);
  request.noise.back() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(fashion().generate(request), Error);
}

TEST(Generator, TheShippedModelsKeepWhatTheirFilesClaim) {
  for (const Check& check : fashion().check()) EXPECT_TRUE(check.holds) << check.claim << ": " << check.found;
}

TEST(Generator, AnUnknownNameListsTheShippedModels) {
  try {
    Generator::load("fashon");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("fashion-teacher"), std::string::npos) << error.what();
  }
}

TEST(Generator, RefusesADeviceThatIsNotThere) {
  EXPECT_THROW(Generator::load(ONESTEP_TEST_MODELS "/fashion.pt", {.device = "cuda:99"}), Error);
  EXPECT_THROW(Generator::load(ONESTEP_TEST_MODELS "/fashion.pt", {.device = "toaster"}), Error);
}

TEST(Save, AFolderThatIsNotThereIsAnErrorAndLeavesNothing) {
  const Result result = fashion().generate(request_of({0}));
  EXPECT_THROW(save("no/such/folder/a.png", fashion().info(), result.samples), Error);
  EXPECT_FALSE(std::filesystem::exists("no"));
}

}  // namespace
}  // namespace onestep
