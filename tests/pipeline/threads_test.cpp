// The public API called from many threads, from a child of fork(), and with any number of threads of its own.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <numeric>
#include <thread>

#include "../one_processor.hpp"
#include "onestep/generator.hpp"

namespace onestep {
namespace {

/// fp32, which is the same wherever the test runs.
const Generator& model(bool compile = true) {
  const auto load = [](bool compiled) {
    LoadOptions options;
    options.precision = Precision::fp32;
    options.compile = compiled;
    return Generator::load(ONESTEP_TEST_MODELS "/fashion.pt", options);
  };
  static const Generator compiled = load(true), as_it_is = load(false);
  return compile ? compiled : as_it_is;
}

/// Two calls of each batch.
Request request_of(std::int64_t samples, std::int64_t batch) {
  Request request;
  request.seeds.resize(static_cast<std::size_t>(samples));
  std::iota(request.seeds.begin(), request.seeds.end(), 0);
  request.batch = batch;
  request.sampler = ConsistencySampler{.levels = {.values = {80, 5}}};
  return request;
}

std::vector<float> numbers(const Result& result) {
  std::vector<float> all;
  for (const Sample& sample : result.samples) all.insert(all.end(), sample.values.begin(), sample.values.end());
  return all;
}

class Threads : public testing::Test {
 protected:
  ~Threads() override { set_threads(1); }
};

TEST_F(Threads, HoweverManyGiveTheSameBits) {
  set_threads(1);
  const std::vector<float> expected = numbers(model().generate(request_of(21, 21)));
  for (const int threads : {1, 2, 3, 16}) {
    set_threads(threads);
    for (const std::int64_t batch : {1, 2, 21})
      EXPECT_EQ(numbers(model().generate(request_of(21, batch))), expected) << threads << " threads, batch " << batch;
  }
}

TEST_F(Threads, ServeEightCallersOfWhomSomeStop) {
  set_threads(3);
  const std::vector<float> expected = numbers(model().generate(request_of(6, 2)));
  std::atomic<int> right{0}, stopped{0};
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 8; ++caller) {
      callers.emplace_back([&, caller] {
        for (int turn = 0; turn < 3; ++turn) {
          std::stop_source stop;
          const OnProgress on_progress = [&](const Progress& progress) {
            if (caller % 2 == 1 && progress.calls_done == 3) stop.request_stop();
          };
          const Result result = model().generate(request_of(6, 2), on_progress, stop.get_token());
          stopped += result.report.stopped;
          const std::vector<float> drawn = numbers(result);
          right += std::equal(drawn.begin(), drawn.end(), expected.begin());
          if (caller == 0) set_threads(turn + 1);  // others are amid their calls
        }
      });
    }
  }
  EXPECT_EQ(right, 24);
  EXPECT_EQ(stopped, 12);
}

TEST_F(Threads, WorkWithinParallelismOfTheCallersOwn) {
  set_threads(2);
  const std::vector<float> expected = numbers(model().generate(request_of(3, 3)));
  std::atomic<int> right{0};
#pragma omp parallel for num_threads(4)
  for (int i = 0; i < 12; ++i) right += numbers(model().generate(request_of(3, 3))) == expected;
  EXPECT_EQ(right, 12);
}

TEST_F(Threads, AreThereInAChildOfFork) {
  set_threads(3);
  for (const bool compile : {true, false}) {
    const std::vector<float> expected = numbers(model(compile).generate(request_of(4, 4)));  // starts threads
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);  // rather than wait for threads that are not there
      const std::vector<float> drawn = numbers(model(compile).generate(request_of(4, 4)));
      // What libtorch runs, on one thread in a child, may sum in another order.
      bool near = drawn.size() == expected.size();
      for (std::size_t i = 0; near && i < drawn.size(); ++i)
        near = std::abs(drawn[i] - expected[i]) <= (compile ? 0.0f : 1e-4f);
      _exit(near ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << (compile ? "compiled" : "as it is");
  }
}

TEST_F(Threads, WorkOnOneProcessor) {
  set_threads(4);
  const std::vector<float> expected = numbers(model().generate(request_of(5, 5)));
  const OneProcessor one;
  ASSERT_TRUE(one.is_set());
  EXPECT_EQ(numbers(model().generate(request_of(5, 5))), expected);
}

}  // namespace
}  // namespace onestep
