#include "preconditioning.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace onestep {
namespace {

TEST(Preconditioning, IsTheIdentityAtTheBoundary) {
  for (const double boundary : {0.0, 0.002, 0.5}) {
    const auto c = edm_preconditioning(boundary, 0.5, boundary);
    EXPECT_EQ(c.skip, 1);
    EXPECT_EQ(c.out, 0);
  }
}

// Where the data is N(0, sigma_data^2), EDM's three demands hold (Karras et al. 2022, App. B.6): the network's input
// and its ideal output have unit variance. 1e-12: a few roundings in double.
TEST(Preconditioning, GivesTheNetworkUnitVariance) {
  for (const double sigma : {0.002, 0.1, 1.0, 80.0}) {
    const double data = 0.7;
    const auto c = edm_preconditioning(sigma, data, 0);
    EXPECT_NEAR(c.in * c.in * (sigma * sigma + data * data), 1, 1e-12);
    const double target_variance = std::pow((1 - c.skip) * data, 2) + std::pow(c.skip * sigma, 2);
    EXPECT_NEAR(target_variance / (c.out * c.out), 1, 1e-12);
  }
}

// Computed by hand for sigma = 2, sigma_data = 0.5, boundary = 1: 0.25 / 1.25, 0.5 / sqrt(4.25), 1 / sqrt(4.25).
TEST(Preconditioning, FollowsSongsAppendixC) {
  const auto c = edm_preconditioning(2, 0.5, 1);
  EXPECT_NEAR(c.skip, 0.2, 1e-15);
  EXPECT_NEAR(c.out, 0.24253562503633297, 1e-15);
  EXPECT_NEAR(c.in, 0.48507125007266594, 1e-15);
}

}  // namespace
}  // namespace onestep
