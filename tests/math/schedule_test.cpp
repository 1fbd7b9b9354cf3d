#include "schedule.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace onestep
