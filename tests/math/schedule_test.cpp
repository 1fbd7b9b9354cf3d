#include "schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "onestep/error.hpp"

namespace onestep {
namespace {

TEST(KarrasLevels, EndExactlyAndFall) {
  for (const int steps : {2, 3, 18, 40}) {
    const auto levels = karras_levels(steps, 0.002, 80, 7);
    ASSERT_EQ(levels.size(), static_cast<std::size_t>(steps));
    EXPECT_EQ(levels.front(), 80);
    EXPECT_EQ(levels.back(), 0.002);
    for (std::size_t i = 1; i < levels.size(); ++i) EXPECT_LT(levels[i], levels[i - 1]);
  }
}

TEST(KarrasLevels, OfOneStepAreTheFirst) { EXPECT_EQ(karras_levels(1, 0.002, 80, 7), std::vector<double>{80}); }

// ((80^(1/7) + 0.002^(1/7)) / 2)^7, computed with 30 digits.
TEST(KarrasLevels, FollowEquation5) { EXPECT_NEAR(karras_levels(3, 0.002, 80, 7)[1], 2.5152189761471, 1e-9); }

TEST(KarrasLevels, AreEvenlySpacedWhenRhoIsOne) {
  const auto levels = karras_levels(5, 1, 9, 1);
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(levels[i], 9 - 2 * i, 1e-12);  // a few roundings
}

TEST(Schedules, OfAnyModelGoFromSigmaMaxToSigmaMin) {
  const ModelInfo info;
  for (const char* name : {"karras", "exponential", "linear"}) {
    const auto levels = schedule_levels(find_schedule(name, info), info, 5);
    ASSERT_EQ(levels.size(), 5U) << name;
    EXPECT_EQ(levels.front(), info.sigma_max) << name;
    EXPECT_EQ(levels.back(), info.sigma_min) << name;
  }
  const auto log_even = schedule_levels(find_schedule("exponential", info), info, 3);
  EXPECT_NEAR(log_even[1], std::sqrt(80 * 0.002), 1e-12);  // a few roundings
}

TEST(Schedules, UniformIsEvenInTheModelsOwnTime) {
  ModelInfo info;
  info.prediction = "flow";
  info.sigma_max = 1e6;
  const auto flow = schedule_levels(find_schedule("", info), info, 4);
  const double last = 1e6 / (1e6 + 1);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(flow[i] / (1 + flow[i]), last * (1 - i / 4.0), 1e-12);
  info.prediction = "trigflow";
  info.sigma_max = 80;
  const auto angles = schedule_levels(find_schedule("", info), info, 4);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(std::atan(angles[i] / 0.5), std::atan(160) * (1 - i / 4.0), 1e-12);
}

// In the times of a scheduler that shifts: sigma there is tau here.
TEST(Schedules, UniformIsEvenBeforeTheShiftOfAFlow) {
  ModelInfo info;
  info.prediction = "flow";
  info.sigma_max = 1e9;
  info.flow_shift = 3;
  info.flow_noise_scale = 2;
  const auto levels = schedule_levels(find_schedule("", info), info, 4);
  for (int i = 0; i < 4; ++i) {
    const double even = 1 - i / 4.0, tau = levels[i] / (2 + levels[i]);
    EXPECT_NEAR(tau, 3 * even / (1 + 2 * even), 1e-8);  // sigma_max is not infinite
  }
}

// Lin et al. 2023, Table 2, for T = 1000 and ten steps (whose timesteps count from 1), and where n does not divide T.
TEST(Schedules, OfTimestepsAreTheThreeOfLin) {
  ModelInfo info;
  for (int i = 0; i < 1000; ++i) info.timestep_sigmas.push_back(i + 1);
  const auto timesteps = [&](const char* name, int steps) {
    std::vector<double> found = schedule_levels(find_schedule(name, info), info, steps);
    for (double& t : found) t -= 1;
    return found;
  };
  EXPECT_EQ(timesteps("trailing", 10), (std::vector<double>{999, 899, 799, 699, 599, 499, 399, 299, 199, 99}));
  EXPECT_EQ(timesteps("leading", 10), (std::vector<double>{900, 800, 700, 600, 500, 400, 300, 200, 100, 0}));
  EXPECT_EQ(timesteps("linspace", 10), (std::vector<double>{999, 888, 777, 666, 555, 444, 333, 222, 111, 0}));
  EXPECT_EQ(timesteps("trailing", 3), (std::vector<double>{999, 666, 332}));
  EXPECT_EQ(timesteps("leading", 3), (std::vector<double>{666, 333, 0}));
  EXPECT_EQ(find_schedule("", info).name, "trailing");
  EXPECT_THROW(schedule_levels(find_schedule("leading", info), info, 1001), Error);
}

TEST(Schedules, ThatDoNotSuitTheModelAreRefusedWithThoseThatDo) {
  const ModelInfo info;
  for (const char* name : {"trailing", "uniform", "foo"}) {
    try {
      find_schedule(name, info);
      FAIL() << name << " was accepted";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("karras, exponential, linear"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace onestep
