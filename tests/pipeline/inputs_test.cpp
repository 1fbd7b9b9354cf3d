// What a request, an interpolation or a search for levels may be given, and what is refused before any network call.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "onestep/generator.hpp"
#include "onestep/interpolate.hpp"
#include "onestep/tune.hpp"

namespace onestep {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();

const Generator& fashion() {
  static const Generator generator = Generator::load(ONESTEP_TEST_MODELS "/fashion.pt");
  return generator;
}

void expect_refused(const std::string& beginning, const std::function<void()>& work) {
  try {
    work();
    ADD_FAILURE() << beginning << "...: no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    EXPECT_EQ(std::string(error.what()).substr(0, beginning.size()), beginning);
  }
}

std::vector<float> picture_with(float value, std::size_t place) {
  std::vector<float> picture(28 * 28, 0.0F);
  picture[place] = value;
  return picture;
}

TEST(Edits, OfValuesThatAreNoNumbersAreRefusedWithTheirPlace) {
  const auto plan = [](Edit edit) {
    Request request;
    request.seeds = {0};
    request.edit = std::move(edit);
    fashion().plan(request);
  };
  expect_refused("guide[5] = nan", [&] { plan(Stroke{picture_with(nan, 5)}); });
  expect_refused("sample[783] = inf", [&] { plan(Denoise{picture_with(infinity, 783)}); });
  expect_refused("means[0] = -inf", [&] { plan(Upscale{std::vector<float>(14 * 14, -infinity), 2}); });
  expect_refused("sample[5] = nan", [&] { plan(Inpaint{picture_with(nan, 5), std::vector<float>(28 * 28, 1.0F)}); });
  plan(Inpaint{picture_with(nan, 5), picture_with(1, 6)});  // what is not known is not looked at
}

TEST(Edits, AFactorThatDoesNotDivideOrIsOutOfRangeIsRefused) {
  for (const int factor : {std::numeric_limits<int>::min(), -2, 0, 1, 3, 65, std::numeric_limits<int>::max()}) {
    Request request;
    request.seeds = {0};
    request.edit = Upscale{std::vector<float>(14 * 14, 0.0F), factor};
    expect_refused("factor = " + std::to_string(factor) + " must ", [&] { fashion().plan(request); });
  }
}

TEST(GivenNoise, ThatIsNoNumberIsRefusedWithItsPlace) {
  Request request;
  request.seeds = {0};
  request.noise = picture_with(nan, 700);
  expect_refused("noise[700] = nan", [&] { fashion().plan(request); });
}

TEST(Interpolation, OfMoreThanFitsInMemoryIsRefused) {
  const ModelInfo& info = fashion().info();
  const int most = std::numeric_limits<int>::max();
  expect_refused("100000 frames x 10000 draws", [&] { interpolate_seeds(info, 0, 1, 100'000, 10'000); });
  expect_refused("frames = ", [&] { interpolate_seeds(info, 0, 1, most); });
  expect_refused("frames = 1 ", [&] { interpolate_seeds(info, 0, 1, 1); });
  expect_refused("draws = ", [&] { interpolate_seeds(info, 0, 1, 2, most); });
  expect_refused("draws = 0 ", [&] { interpolate_seeds(info, 0, 1, 2, 0); });
  EXPECT_EQ(interpolate_seeds(info, 0, 1, 3, 2).size(), 2U * 3 * 28 * 28);
}

TEST(Interpolation, OfSamplesThatAreNoNumbersIsRefused) {
  const ModelInfo& info = fashion().info();
  const std::vector<float> fine = picture_with(0, 0);
  for (const double sigma : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    expect_refused("sigma = ", [&] { interpolate_samples(info, fine, fine, sigma, 0, 2); });
  }
  expect_refused("sample[9] = nan", [&] { interpolate_samples(info, fine, picture_with(nan, 9), 1, 0, 2); });
  expect_refused("a sample has 3 values", [&] { interpolate_samples(info, fine, {1, 2, 3}, 1, 0, 2); });
}

TEST(Tune, AReferenceThatIsNoNumberIsRefused) {
  TuneOptions options;
  options.seeds = {0, 1};
  std::vector<float> reference(3 * 28 * 28, 0.0F);
  reference[1000] = nan;
  expect_refused("reference[1000] = nan", [&] { tune(fashion(), reference, options); });
  options.batch = std::numeric_limits<std::int64_t>::max();
  expect_refused("batch = ", [&] { tune(fashion(), reference, options); });
}

TEST(Tune, LevelsThatAModelCantHaveAreNotWritten) {
  const std::string model = ONESTEP_TEST_MODELS "/fashion.pt", file = "tuned.pt";
  expect_refused("levels[1] = nan", [&] { write_levels(model, {{2, {80, std::nan("")}}}, file); });
  expect_refused("levels[1] = 90 must be below", [&] { write_levels(model, {{2, {80, 90}}}, file); });
  expect_refused("levels[0] = 81 must be at most", [&] { write_levels(model, {{1, {81}}}, file); });
  expect_refused("levels of 3 steps are 2", [&] { write_levels(model, {{3, {80, 1}}}, file); });
  expect_refused("levels of 0 steps are 0", [&] { write_levels(model, {{0, {}}}, file); });
  EXPECT_FALSE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace onestep
