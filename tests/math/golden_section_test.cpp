#include "golden_section.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace onestep {
namespace {

TEST(GoldenSection, FindsTheLeastPointToItsPromise) {
  for (const double least : {-1.9, 0.0, 0.3, 2.7}) {
    for (const int evaluations : {2, 5, 12, 25}) {
      int calls = 0;
      const double found = golden_section(
          [&](double x) {
            ++calls;
            return std::abs(x - least);
          },
          -2, 3, evaluations);
      EXPECT_EQ(calls, evaluations);
      EXPECT_LE(std::abs(found - least), 5 * std::pow(0.6181, evaluations - 1)) << least << " in " << evaluations;
    }
  }
}

TEST(GoldenSection, ReturnsTheBestOfWhatItSawWhateverTheFunction) {
  std::vector<std::pair<double, double>> seen;
  const double found = golden_section(
      [&](double x) {
        seen.emplace_back(std::sin(20 * x), x);
        return seen.back().first;
      },
      0, 1, 9);
  EXPECT_EQ(found, std::min_element(seen.begin(), seen.end())->second);
}

}  // namespace
}  // namespace onestep
