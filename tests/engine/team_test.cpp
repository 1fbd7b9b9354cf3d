// Needs no libtorch, so that ThreadSanitizer sees all of it.
#include "run/team.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "../one_processor.hpp"

namespace onestep::engine {
namespace {

/// Stages of so many parts.
class Stages : public Work {
 public:
  using Compute = std::function<void(std::int64_t stage, std::int64_t part)>;
  Stages(std::vector<std::int64_t> parts, Compute compute) : parts_(std::move(parts)), compute_(std::move(compute)) {}

  std::int64_t stages() const override { return static_cast<std::int64_t>(parts_.size()); }
  std::int64_t parts(std::int64_t stage) const override { return parts_[static_cast<std::size_t>(stage)]; }
  void compute(std::int64_t stage, std::int64_t part, std::byte*) const override { compute_(stage, part); }

 private:
  std::vector<std::int64_t> parts_;
  Compute compute_;
};

/// Until it holds, or 20 seconds have passed.
bool comes_true(const std::function<bool()>& condition) {
  const auto start = std::chrono::steady_clock::now();
  while (!condition()) {
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(20)) return false;
    std::this_thread::yield();
  }
  return true;
}

/// Every part of a stage looks at all numbers that the stage before made: a wrong sum wherever a stage begins too
/// early, or a part is done twice or by nobody.
std::int64_t sum_by_stages(std::int64_t threads, std::int64_t stages, std::int64_t width) {
  const auto size = static_cast<std::size_t>(width);
  std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(stages) + 1, std::vector<std::int64_t>(size, 0));
  std::iota(rows[0].begin(), rows[0].end(), 1);
  std::vector<std::int64_t> parts;
  for (std::int64_t stage = 0; stage < stages; ++stage) parts.push_back(stage % 3 == 2 ? 1 : width);
  do_together(Stages(parts,
                     [&](std::int64_t stage, std::int64_t part) {
                       const auto& before = rows[static_cast<std::size_t>(stage)];
                       auto& now = rows[static_cast<std::size_t>(stage) + 1];
                       const std::int64_t sum = std::accumulate(before.begin(), before.end(), std::int64_t{0});
                       if (stage % 3 == 2) {
                         for (auto& number : now) number += sum % 1'000'003;
                       } else {
                         now[static_cast<std::size_t>(part)] += (sum + part) % 1'000'003;
                       }
                     }),
              threads);
  return std::accumulate(rows.back().begin(), rows.back().end(), std::int64_t{0});
}

class Threads : public testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(Team, Threads, testing::Values(1, 2, 3, 16, 40));

TEST_P(Threads, DoStageAfterStageAndEveryPartOnce) {
  const std::int64_t expected = sum_by_stages(1, 300, 33);
  for (int turn = 0; turn < 20; ++turn) ASSERT_EQ(sum_by_stages(GetParam(), 300, 33), expected);
}

TEST_P(Threads, AreSharedByManyCallers) {
  const std::int64_t expected = sum_by_stages(1, 60, 20);
  std::atomic<int> right{0};
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 8; ++caller) {
      callers.emplace_back([&] {
        for (int turn = 0; turn < 20; ++turn) right += sum_by_stages(GetParam(), 60, 20) == expected;
      });
    }
  }
  EXPECT_EQ(right, 160);
}

TEST_P(Threads, DoWorkWithinAPart) {
  const std::int64_t expected = sum_by_stages(1, 30, 9);
  std::atomic<int> right{0};
  do_together(Stages({7, 5}, [&](auto, auto) { right += sum_by_stages(GetParam(), 30, 9) == expected; }), GetParam());
  EXPECT_EQ(right, 12);
}

TEST_P(Threads, PassOnWhatAPartThrowsAndGoOn) {
  for (int turn = 0; turn < 20; ++turn) {
    std::atomic<int> later{0};
    EXPECT_THROW(do_together(Stages({10, 50, 10},
                                    [&](std::int64_t stage, std::int64_t part) {
                                      if (stage == 1 && part == 20) throw std::runtime_error("no");
                                      later += stage == 2;
                                    }),
                             GetParam()),
                 std::runtime_error);
    EXPECT_EQ(later, 0);
    EXPECT_EQ(sum_by_stages(GetParam(), 6, 10), sum_by_stages(1, 6, 10));
  }
}

TEST(Team, GivesEveryThreadScratchOfItsOwn) {
  class Filling : public Work {
   public:
    std::int64_t stages() const override { return 200; }
    std::int64_t parts(std::int64_t) const override { return 8; }
    std::int64_t scratch_bytes() const override { return 1000; }
    void compute(std::int64_t, std::int64_t part, std::byte* scratch) const override {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(scratch) % 64, 0u);
      std::fill_n(scratch, 1000, static_cast<std::byte>(part));
      for (int i = 0; i < 1000; ++i) wrong += scratch[i] != static_cast<std::byte>(part);
    }
    mutable std::atomic<int> wrong{0};
  } filling;
  do_together(filling, 4);
  EXPECT_EQ(filling.wrong, 0);
}

// One thread is held up in its part; the other does all that is left.
TEST(Team, WaitsForNobodyButForThePartThatHeDoes) {
  const std::thread::id self = std::this_thread::get_id();
  std::atomic<int> done{0};
  std::atomic<bool> held{false}, in_time{true};
  do_together(Stages({100},
                     [&](auto, auto) {
                       if (std::this_thread::get_id() != self && !held.exchange(true)) {
                         if (!comes_true([&] { return done == 99; })) in_time = false;
                       } else if (!comes_true([&] { return held.load(); })) {
                         in_time = false;  // no worker came
                       }
                       ++done;
                     }),
              2);
  EXPECT_EQ(done, 100);
  EXPECT_TRUE(in_time);
}

// A part's own stages are shared once the outer stage has no parts left for the others.
TEST(Team, HelpsWithTheWorkOfTheLastPart) {
  std::atomic<bool> in_time{true}, begun{false};
  do_together(Stages({2},
                     [&](auto, std::int64_t outer) {
                       if (outer == 0) {
                         begun = true;
                         return;
                       }
                       if (!comes_true([&] { return begun.load(); })) in_time = false;  // it is the last part now
                       std::atomic<int> here{0};
                       do_together(Stages({2},
                                          [&](auto, auto) {
                                            ++here;
                                            if (!comes_true([&] { return here == 2; })) in_time = false;
                                          }),
                                   2);
                     }),
              2);
  EXPECT_TRUE(in_time);
}

TEST(Team, LeavesCallersAloneWhereThereAreAsManyAsThreads) {
  std::barrier together(2);
  std::atomic<int> strangers{0};
  const auto call = [&] {
    const std::thread::id self = std::this_thread::get_id();
    do_together(Stages({1, 200, 1},
                       [&](std::int64_t stage, auto) {
                         if (stage != 1) together.arrive_and_wait();  // both are callers between the two
                         strangers += std::this_thread::get_id() != self;
                       }),
                2);
  };
  std::jthread other(call);
  call();
  other.join();
  EXPECT_EQ(strangers, 0);
}

TEST(Team, HasRoomForMoreCallersThanItWasMadeFor) {
  constexpr int count = 300;
  std::barrier together(count);
  std::atomic<int> done{0};
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < count; ++i) {
      callers.emplace_back([&] {
        do_together(Stages({1, 3},
                           [&](std::int64_t stage, auto) {
                             if (stage == 0) together.arrive_and_wait();
                             ++done;
                           }),
                    500);
      });
    }
  }
  EXPECT_EQ(done, count * 4);
}

TEST(Team, WorksOnOneProcessor) {
  const OneProcessor one;
  ASSERT_TRUE(one.is_set());
  EXPECT_EQ(sum_by_stages(5, 100, 12), sum_by_stages(1, 100, 12));
}

TEST(Team, WorksInAChildOfFork) {
  const std::int64_t expected = sum_by_stages(4, 100, 12);  // starts workers
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    // The child's own workers come, too: each part waits for another.
    std::atomic<int> here{0};
    std::atomic<bool> in_time{true};
    do_together(Stages({2},
                       [&](auto, auto) {
                         ++here;
                         if (!comes_true([&] { return here == 2; })) in_time = false;
                       }),
                4);
    _exit(in_time && sum_by_stages(4, 100, 12) == expected ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(sum_by_stages(4, 100, 12), expected);
}

#ifdef _OPENMP
TEST(Team, WorksWithinParallelismOfTheCallersOwn) {
  const std::int64_t expected = sum_by_stages(1, 60, 20);
  std::atomic<int> right{0};
#pragma omp parallel for num_threads(4)
  for (int i = 0; i < 40; ++i) right += sum_by_stages(3, 60, 20) == expected;
  EXPECT_EQ(right, 40);
}
#endif

}  // namespace
}  // namespace onestep::engine
