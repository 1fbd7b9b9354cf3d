// Samples drawn on a GPU against the CPU's.
#include <gtest/gtest.h>

#include <stdexcept>

#include "gpu_under_test.hpp"
#include "onestep/generator.hpp"

namespace onestep {
namespace {

constexpr const char* fashion = ONESTEP_TEST_MODELS "/fashion.pt";
constexpr const char* teacher = ONESTEP_TEST_MODELS "/fashion-teacher.pt";

Generator on_gpu(const char* model) {
  return Generator::load(model, {.device = gpu_under_test.str(), .precision = Precision::fp32});
}

Generator on_cpu(const char* model) { return Generator::load(model, {.precision = Precision::fp32}); }

Request request_of(std::vector<std::uint64_t> seeds, std::int64_t batch) {
  Request request;
  request.seeds = std::move(seeds);
  request.batch = batch;
  return request;
}

void expect_same(const Result& a, const Result& b) {
  ASSERT_EQ(a.samples.size(), b.samples.size());
  for (std::size_t i = 0; i < a.samples.size(); ++i) {
    EXPECT_EQ(a.samples[i].seed, b.samples[i].seed);
    EXPECT_EQ(a.samples[i].label, b.samples[i].label);
    for (std::size_t k = 0; k < a.samples[i].values.size(); ++k) {
      // The same operators in float32, their sums in another order, in a range of 2.
      ASSERT_NEAR(a.samples[i].values[k], b.samples[i].values[k], 1e-4) << "seed " << a.samples[i].seed;
    }
  }
}

TEST(GpuGenerator, DrawsTheSamplesOfTheCpu) {
  Request request = request_of({0, 1, 2, 3, 4, 5, 6}, 3);  // the last batch is smaller
  expect_same(on_gpu(fashion).generate(request), on_cpu(fashion).generate(request));
  request.sampler = HeunSampler{.levels = {.steps = 4}};
  expect_same(on_gpu(teacher).generate(request), on_cpu(teacher).generate(request));
  request.guidance = 2;
  expect_same(on_gpu(teacher).generate(request), on_cpu(teacher).generate(request));
}

TEST(GpuGenerator, HandsABatchOverWhileTheNextIsComputed) {
  std::int64_t calls_done = 0;
  std::vector<std::int64_t> calls_before;
  on_gpu(fashion).generate_each(
      request_of({0, 1, 2, 3}, 2), [&](Sample&&) { calls_before.push_back(calls_done); },
      [&](const Progress& progress) { calls_done = progress.calls_done; });
  EXPECT_EQ(calls_before, (std::vector<std::int64_t>{2, 2, 2, 2}));
}

TEST(GpuGenerator, KeepsWhatIsFinished) {
  const Generator generator = on_gpu(fashion);
  std::stop_source stop;
  std::vector<std::uint64_t> seeds;
  const Sink sink = [&](Sample&& sample) { seeds.push_back(sample.seed); };
  const Report report = generator.generate_each(
      request_of({0, 1, 2, 3}, 2), sink,
      [&](const Progress& progress) {
        if (progress.calls_done == 1) stop.request_stop();
      },
      stop.get_token());
  EXPECT_TRUE(report.stopped);
  EXPECT_EQ(seeds, (std::vector<std::uint64_t>{0, 1}));

  seeds.clear();
  const auto fails_in_the_second = [](const Progress& progress) {
    if (progress.calls_done == 2) throw std::runtime_error("full");
  };
  EXPECT_THROW(generator.generate_each(request_of({0, 1, 2, 3}, 2), sink, fails_in_the_second), std::runtime_error);
  EXPECT_EQ(seeds, (std::vector<std::uint64_t>{0, 1}));
}

TEST(GpuGenerator, EditsAndChecksAsTheCpuDoes) {
  const Generator gpu = on_gpu(fashion), cpu = on_cpu(fashion);
  Request request = request_of({0, 1, 2}, 2);
  Inpaint inpaint;
  inpaint.sample = cpu.generate(request_of({9}, 1)).samples.front().values;
  inpaint.mask.assign(inpaint.sample.size(), 0);
  std::fill_n(inpaint.mask.begin(), inpaint.mask.size() / 2, 1.0f);
  request.edit = inpaint;
  expect_same(gpu.generate(request), cpu.generate(request));
  for (const Check& check : gpu.check()) EXPECT_TRUE(check.holds) << check.claim << ": " << check.found;
  EXPECT_TRUE(gpu.engine(2).compiled);
}

TEST(GpuGenerator, RefusesADeviceThatIsNotThere) {
  EXPECT_THROW(Generator::load(fashion, {.device = torch::Device(gpu_under_test.type(), 99).str()}), Error);
}

}  // namespace
}  // namespace onestep
