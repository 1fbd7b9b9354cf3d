// An endless plane: the same bits however it is cut, and the right ones.
#include "onestep/canvas.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <thread>

namespace onestep {
namespace {

const Generator& model(const std::string& name) {
  static std::map<std::string, Generator> loaded;
  const auto found = loaded.find(name);
  if (found != loaded.end()) return found->second;
  return loaded.emplace(name, Generator::load(ONESTEP_TINY_MODELS "/" + name + ".pt")).first->second;
}

Request request_of(Sampler sampler = {}, std::vector<std::int64_t> labels = {}) {
  Request request;
  request.seeds = {7};
  request.labels = std::move(labels);
  request.sampler = std::move(sampler);
  return request;
}

/// The value at (x, y) of channel c.
float at(const Region& region, std::int64_t c, std::int64_t y, std::int64_t x) {
  return region.values[static_cast<std::size_t>((c * region.shape[1] + y) * region.shape[2] + x)];
}

/// Of the region, the rectangle at (x, y) of another one's size.
bool holds(const Region& all, std::int64_t x, std::int64_t y, const Region& part) {
  for (std::int64_t c = 0; c < part.shape[0]; ++c) {
    for (std::int64_t row = 0; row < part.shape[1]; ++row) {
      for (std::int64_t column = 0; column < part.shape[2]; ++column) {
        if (at(all, c, y + row, x + column) != at(part, c, row, column)) return false;
      }
    }
  }
  return true;
}

std::vector<Rectangle> cut(const Rectangle& r, std::int64_t width, std::int64_t height) {
  std::vector<Rectangle> pieces;
  for (std::int64_t y = 0; y < r.height; y += height) {
    for (std::int64_t x = 0; x < r.width; x += width)
      pieces.push_back({r.x + x, r.y + y, std::min(width, r.width - x), std::min(height, r.height - y)});
  }
  std::shuffle(pieces.begin(), pieces.end(), std::mt19937(3));
  return pieces;
}

struct Drawn {
  std::string description, model;
  Request request;
  std::int64_t tile;
  Rectangle rectangle;
};

/// Both ways, in one call and more, here and at the ends of the coordinates.
std::vector<Drawn> many() {
  constexpr std::int64_t far = std::int64_t{1} << 31;
  const ConsistencySampler two{.levels = {.values = {80, 2}}}, three{.levels = {.values = {80, 5, 0.7}}};
  return {
      {"exact, one step", "local", request_of({}, {1}), 32, {-13, 5, 61, 47}},
      {"exact, three steps", "local", request_of(three, {2}), 16, {-13, 5, 61, 47}},
      {"exact, a diffusion model",
       "local-teacher",
       request_of(EulerSampler{.levels = {.steps = 3}}),
       16,
       {3, -50, 30, 20}},
      {"exact, far away", "local", request_of({}, {0}), 32, {-far + 5, far - 99, 40, 99}},
      {"windows, one step", "whole", request_of(), 0, {-13, 5, 31, 27}},
      {"windows, two steps", "whole", request_of(two), 0, {-13, 5, 31, 27}},
      {"windows, far away", "whole", request_of(two), 0, {far - 20, -far, 20, 15}},
  };
}

TEST(Canvas, GivesTheSameBitsHoweverItIsCut) {
  for (const Drawn& drawn : many()) {
    SCOPED_TRACE(drawn.description);
    const auto canvas = [&](std::size_t cache) {
      return Canvas(model(drawn.model), drawn.request, {.cache_bytes = cache, .tile = drawn.tile});
    };
    const Region all = canvas(std::size_t{1} << 30).region(drawn.rectangle);
    // As many as fit, one tile and none: what is drawn again is the same.
    for (const std::size_t cache : {std::size_t{1} << 30, std::size_t{20'000}, std::size_t{0}}) {
      const Canvas pieces = canvas(cache);
      const bool slow = cache < 20'001 && drawn.request.sampler.index() != 0;
      for (const Rectangle& r : slow ? cut(drawn.rectangle, 29, 23) : cut(drawn.rectangle, 7, 13))
        EXPECT_TRUE(holds(all, r.x - drawn.rectangle.x, r.y - drawn.rectangle.y, pieces.region(r)));
    }
    const Canvas shared = canvas(std::size_t{1} << 20);
    std::vector<std::jthread> threads;
    std::atomic<int> wrong = 0;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        std::vector<Rectangle> pieces = cut(drawn.rectangle, 17, 11);
        std::shuffle(pieces.begin(), pieces.end(), std::mt19937(static_cast<unsigned>(i)));
        for (const Rectangle& r : pieces)
          wrong += !holds(all, r.x - drawn.rectangle.x, r.y - drawn.rectangle.y, shared.region(r));
      });
    }
    threads.clear();
    EXPECT_EQ(wrong, 0);
  }
}

TEST(Canvas, IsSeamlessWithAPeriod) {
  const auto require_seamless = [](const Generator& generator, const Request& request, const CanvasOptions& options) {
    const std::int64_t width = options.period_width, height = options.period_height;
    const Canvas canvas(generator, request, options);
    const Region one = canvas.region({0, 0, width, height});
    const Region shifted = canvas.region({width / 2, height / 2, width, height});
    const Region four = canvas.region({-width, -height, 2 * width, 2 * height});
    EXPECT_TRUE(holds(four, 0, 0, one));
    EXPECT_TRUE(holds(four, width, height, one));
    EXPECT_TRUE(holds(four, width / 2, height / 2, shifted));
    // And no edge: across it values differ no more than elsewhere, and it is not the endless plane's picture.
    const Region endless = Canvas(generator, request, {.tile = options.tile}).region({0, 0, width, height});
    EXPECT_FALSE(holds(endless, 0, 0, one));
  };
  const ConsistencySampler two{.levels = {.values = {80, 2}}};
  require_seamless(model("local"), request_of({}, {1}), {.period_width = 192, .period_height = 128, .tile = 80});
  require_seamless(model("local"), request_of(two, {1}), {.period_width = 48, .period_height = 34, .tile = 16});
  require_seamless(model("whole"), request_of(two), {.period_width = 24, .period_height = 20});
}

TEST(Canvas, OfTheExactWayDoesNotDependOnItsTiles) {
  for (const auto& [sampler, tolerance] :
       {std::pair(ConsistencySampler{}, 1e-5), std::pair(ConsistencySampler{.levels = {.values = {80, 2}}}, 1e-5)}) {
    const Canvas small(model("local"), request_of(sampler, {1}), {.tile = 10});
    const Canvas large(model("local"), request_of(sampler, {1}), {.tile = 128});
    const Region a = small.region({-20, -30, 50, 60}), b = large.region({-20, -30, 50, 60});
    // float32 in another order, of values about 1.
    for (std::size_t i = 0; i < a.values.size(); ++i) ASSERT_NEAR(a.values[i], b.values[i], tolerance);
  }
}

TEST(Canvas, HasTheStatisticsOfItsModel) {
  // The mean of three neighbours of unit Gaussians times 0.5: variance 1/12, correlations 2/3, 1/3 and 0.
  const Canvas canvas(model("blurs"), request_of(), {.tile = 64});
  const Region region = canvas.region({-1000, 500, 700, 300});
  const std::int64_t width = region.shape[2], height = region.shape[1];
  double sum = 0, squares = 0;
  std::array<double, 4> lagged{};
  double below = 0;
  for (std::int64_t y = 0; y + 1 < height; ++y) {
    for (std::int64_t x = 0; x + 4 < width; ++x) {
      const double value = at(region, 0, y, x) - 0.25;
      sum += value;
      squares += value * value;
      for (std::size_t lag = 0; lag < 4; ++lag)
        lagged[lag] += value * (at(region, 0, y, x + static_cast<std::int64_t>(lag)) - 0.25);
      below += value * (at(region, 0, y + 1, x) - 0.25);
    }
  }
  const double n = static_cast<double>((height - 1) * (width - 4));
  // Five standard errors, with a third of the values independent.
  const double error = 5 / std::sqrt(n / 3);
  EXPECT_NEAR(sum / n, 0, error * 0.29);
  EXPECT_NEAR(squares / n * 12, 1, error * std::sqrt(2.0));
  EXPECT_NEAR(lagged[1] / lagged[0], 2.0 / 3, error);
  EXPECT_NEAR(lagged[2] / lagged[0], 1.0 / 3, error);
  EXPECT_NEAR(lagged[3] / lagged[0], 0, error);
  EXPECT_NEAR(below / lagged[0], 0, error);
}

TEST(Canvas, IsALineOfSound) {
  const Canvas canvas(model("hums"), request_of(ConsistencySampler{.levels = {.values = {80, 2}}}),
                      {.period_width = 60});
  const Region all = canvas.region({-30, 0, 120});
  EXPECT_EQ(all.shape, (std::vector<std::int64_t>{2, 120}));
  for (std::int64_t i = 0; i < 60; ++i) EXPECT_EQ(all.values[i], all.values[i + 60]);
  const Region part = canvas.region({7, 0, 5});
  for (std::int64_t c = 0; c < 2; ++c) {
    for (std::int64_t i = 0; i < 5; ++i) EXPECT_EQ(part.values[c * 5 + i], all.values[c * 120 + 37 + i]);
  }
}

/// A rectangle of `edit` of which every other value is known.
CanvasEdit half_known(const Rectangle& place, std::int64_t layers) {
  Inpaint inpaint;
  for (std::int64_t i = 0; i < layers * place.width * place.height; ++i) {
    inpaint.sample.push_back(0.01F * static_cast<float>(i % 97) - 0.4F);
    inpaint.mask.push_back(static_cast<float>(i % 2));
  }
  return {place, inpaint};
}

TEST(Canvas, KeepsWhatIsKnownOfItHoweverItIsCut) {
  for (const Drawn& drawn : many()) {
    if (parts_of(drawn.request.sampler).name == "euler") continue;
    SCOPED_TRACE(drawn.description);
    const Rectangle& all = drawn.rectangle;
    const Rectangle place{all.x + 5, all.y + 3, 12, 7};
    const std::int64_t channels = model(drawn.model).info().sample.shape[0];
    const CanvasOptions options{.tile = drawn.tile, .edit = half_known(place, channels)};
    const Region region = Canvas(model(drawn.model), drawn.request, options).region(all);
    const Inpaint& inpaint = std::get<Inpaint>(options.edit->edit);
    for (std::int64_t i = 0; i < channels * 7 * 12; ++i) {
      if (inpaint.mask[static_cast<std::size_t>(i)] == 0) continue;
      ASSERT_EQ(at(region, i / 84, 3 + i / 12 % 7, 5 + i % 12), inpaint.sample[static_cast<std::size_t>(i)]);
    }
    const Canvas pieces(model(drawn.model), drawn.request, options);
    for (const Rectangle& r : cut(all, 17, 13)) EXPECT_TRUE(holds(region, r.x - all.x, r.y - all.y, pieces.region(r)));
  }
}

TEST(Canvas, DrawsTheRestInKeepingWithWhatIsKnown) {
  // f(x, sigma) = 0.5 / sigma * (mean of three neighbours of x) + 0.25: what one known value does to its neighbours.
  const auto drawn = [](float known, std::vector<double> levels) {
    const CanvasEdit edit{{100, 50, 1, 1}, Inpaint{{known}, {1}}};
    const Request request = request_of(ConsistencySampler{.levels = {.values = std::move(levels)}});
    return Canvas(model("blurs"), request, {.tile = 16, .edit = edit}).region({95, 50, 11, 1}).values;
  };
  const auto difference = [&](const std::vector<double>& levels) {
    const std::vector<float> high = drawn(0.75F, levels), low = drawn(-0.25F, levels);
    std::vector<double> differences;
    for (std::size_t i = 0; i < high.size(); ++i) differences.push_back(high[i] - low[i]);
    return differences;
  };
  // Of float32 values about 1.
  constexpr double rounding = 1e-6;
  const double once = 0.5 / (3 * 2.0), again = 0.5 / (3 * 0.25);
  const std::vector<double> one = difference({2});
  const std::vector<double> two = difference({2, 0.25});
  for (int i = 0; i < 11; ++i) {
    const int away = std::abs(i - 5);
    EXPECT_NEAR(one[static_cast<std::size_t>(i)], away == 0 ? 1 : away == 1 ? once : 0, rounding) << i;
    // The second call sees the known value, and what the first made of it at the neighbours.
    const double expected = away == 0 ? 1 : away == 1 ? again * (1 + once) : away == 2 ? again * once : 0;
    EXPECT_NEAR(two[static_cast<std::size_t>(i)], expected, rounding) << i;
  }
}

TEST(Canvas, AddsNoiseToAGuide) {
  const Request request = request_of(ConsistencySampler{.levels = {.values = {0.5}}});
  const Rectangle place{-3, 4, 5, 1}, around{-6, 3, 12, 3};
  const CanvasEdit edit{place, Stroke{{1, 2, 3, 4, 5}}};
  const Region like = Canvas(model("blurs"), request, {.tile = 16, .edit = edit}).region(around);
  const Region without = Canvas(model("blurs"), request, {.tile = 16}).region(around);
  const double guide[]{0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0};
  for (std::int64_t y = 0; y < 3; ++y) {
    for (std::int64_t x = 0; x < 12; ++x) {
      const double mean = y == 1 ? ((x > 0 ? guide[x - 1] : 0) + guide[x] + guide[x + 1]) / 3 : 0;
      EXPECT_NEAR(at(like, 0, y, x) - at(without, 0, y, x), mean, 2e-6) << x;  // of float32 values up to 6
    }
  }
}

TEST(Canvas, KnowsItsPeriodsOverAndOver) {
  const ConsistencySampler two{.levels = {.values = {80, 2}}};
  const CanvasEdit edit = half_known({10, 0, 14, 1}, 2);
  const Canvas canvas(model("hums"), request_of(two), {.period_width = 24, .edit = edit});
  const Region region = canvas.region({-24, 0, 72});
  for (std::int64_t c = 0; c < 2; ++c) {
    for (std::int64_t i = 0; i < 72; ++i) EXPECT_EQ(region.values[c * 72 + i], region.values[c * 72 + i % 24]);
    for (std::int64_t i = 1; i < 14; i += 2)
      EXPECT_EQ(region.values[c * 72 + 34 + i],
                std::get<Inpaint>(edit.edit).sample[static_cast<std::size_t>(c * 14 + i)]);
  }
  const auto refused = [&](const CanvasEdit& wrong, const Sampler& sampler) {
    try {
      Canvas(model("hums"), request_of(sampler), {.period_width = 24, .edit = wrong});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refused(half_known({11, 0, 14, 1}, 2), two),
            "edit.place reaches from x = 11 to 25; it must lie within the period, 0 to 24");
  EXPECT_EQ(refused(half_known({10, 0, 14, 1}, 1), two), "sample has 14 values; it must have 28: [2, 14]");
  EXPECT_EQ(refused({{0, 0, 2, 1}, Denoise{{0, 0, 0, 0}}}, two), "edit of a canvas must be Inpaint or Stroke");
  EXPECT_EQ(refused({{0, 0, 0, 1}, Stroke{}}, two), "width = 0 must lie in [1, 2147483647]");
  EXPECT_EQ(refused(edit, GammaSampler{}),
            "editing is done by the sampler consistency, on a consistency model; sampler gamma can't");
}

TEST(Canvas, OutlivesItsGenerator) {
  std::optional<Canvas> canvas;
  {
    const Generator generator = Generator::load(ONESTEP_TINY_MODELS "/local.pt");
    canvas.emplace(generator, request_of({}, {1}));
  }
  EXPECT_EQ(canvas->region({0, 0, 3, 2}).values.size(), 18u);
  EXPECT_EQ(canvas->info().name, "local");
}

TEST(Canvas, DrawsWhatSeedAndLabelSay) {
  const auto values = [](std::uint64_t seed, std::vector<std::int64_t> labels) {
    Request request = request_of({}, std::move(labels));
    request.seeds = {seed};
    const Canvas canvas(model("local"), request, {.tile = 16});
    return std::pair(canvas.region({0, 0, 8, 8}).values, canvas.report().label);
  };
  EXPECT_NE(values(1, {0}).first, values(2, {0}).first);
  EXPECT_NE(values(1, {0}).first, values(1, {1}).first);
  const auto own = values(1, {});
  ASSERT_TRUE(own.second.has_value());
  EXPECT_EQ(own.first, values(1, {*own.second}).first);
}

TEST(Canvas, StopsBetweenCallsAndPassesOnWhatTheCallerThrows) {
  const Canvas canvas(model("local"), request_of({}, {1}), {.tile = 16});
  std::stop_source stop;
  int calls = 0;
  const Region stopped = canvas.region(
      {0, 0, 64, 64},
      [&](const Progress& progress) {
        EXPECT_LE(progress.calls_done, progress.calls);
        if (++calls == 3) stop.request_stop();
      },
      stop.get_token());
  EXPECT_TRUE(stopped.stopped);
  EXPECT_TRUE(stopped.values.empty());
  EXPECT_EQ(calls, 3);
  EXPECT_THROW(canvas.region({0, 64, 64, 64}, [](const Progress&) { throw std::out_of_range("mine"); }),
               std::out_of_range);
  // Neither leaves anything half made.
  const Canvas other(model("local"), request_of({}, {1}), {.tile = 16});
  EXPECT_EQ(canvas.region({0, 0, 64, 128}).values, other.region({0, 0, 64, 128}).values);
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Canvas, RefusesByNameValueAndRule) {
  const auto of = [](const std::string& name, const Request& request, const CanvasOptions& options) {
    return refusal([&] { Canvas(model(name), request, options); });
  };
  EXPECT_EQ(of("local", request_of(), {.period_width = 33}),
            "period_width = 33 must be 0 or a multiple of 2 with local, such as 32 or 34");
  EXPECT_EQ(of("local", request_of(), {.period_width = -2}),
            "period_width = -2 must be 0 or a multiple of 2 with local, such as 2");
  EXPECT_EQ(of("whole", request_of(), {.period_height = 13}),
            "period_height = 13 must be 0 or a multiple of 4 with whole, such as 12 or 16");
  EXPECT_EQ(of("hums", request_of(), {.period_height = 13}), "period_height = 13: a line has a width alone");
  EXPECT_EQ(of("local", request_of(), {.tile = 15}), "tile = 15 must be a multiple of 2 in [2, 65536]");
  EXPECT_EQ(of("whole", request_of(), {.tile = 16}),
            "tile = 16: whole has no halo; its windows have the model's own size");
  EXPECT_EQ(of("local-teacher", request_of(), {}),
            "heun of 35 network calls can't run on an endless plane, where each reaches further; take a sampler of at "
            "most 8, or a period (a seamless picture)");
  EXPECT_EQ(of("local-teacher", request_of(), {.period_width = 1 << 20, .period_height = 1 << 20}),
            "heun of 35 network calls draw all of a period at once, of at most 2^28 values; 1048576 x 1048576 pixels "
            "are more");
  Request request = request_of();
  request.seeds = {1, 2};
  EXPECT_EQ(of("local", request, {}), "seeds has 2; a canvas takes one");
  request = request_of({}, {3});
  EXPECT_EQ(of("local", request, {}), "label 3 must lie in [0, 2]");
  request = request_of();
  request.sizes = {{"H", 32}};
  EXPECT_EQ(of("local", request, {}), "sizes can't be given for a canvas: it has no end");
  request = request_of();
  request.edit = Stroke{};
  EXPECT_EQ(of("local", request, {}), "edit of a request is that of a sample; a canvas's is among its options");
  EXPECT_EQ(refusal([] { Canvas(Generator::load(ONESTEP_TINY_MODELS "/Latent"), request_of(), {}); }),
            "latent has a decoder, whose pictures no canvas can join; draw single ones");

  const Canvas canvas(model("local"), request_of(), {.tile = 16});
  const auto region = [&](const Rectangle& r) { return refusal([&] { canvas.region(r); }); };
  EXPECT_EQ(region({0, 0, 0, 5}), "width = 0 must lie in [1, 2147483647]");
  EXPECT_EQ(region({std::int64_t{1} << 31, 0, 5, 5}), "x = 2147483648 must lie in [-2147483648, 2147483647]");
  EXPECT_EQ(region({0, (std::int64_t{1} << 31) - 3, 5, 4}),
            "y + height = 2147483649 must be at most 2^31; no plane goes further");
  EXPECT_EQ(region({0, 0, 100'000, 100'000}),
            "100000 x 100000 pixels are more than 2^31 values; ask for them in parts");
}

TEST(Check, TriesTheHaloThatAFileClaims) {
  const auto claims = [](const std::string& name) {
    std::map<std::string, bool> claims;
    for (const Check& check : model(name).check()) claims[check.claim] = check.holds;
    return claims;
  };
  const std::string halo = "beyond its halo of 7 pixels nothing is seen";
  const std::string moved = "the same wherever it is, moved by 2 pixels";
  EXPECT_EQ(claims("local").at(halo), true);
  EXPECT_EQ(claims("local").at(moved), true);
  EXPECT_EQ(claims("far-sighted").at(halo), false);
  EXPECT_EQ(claims("whole").count(halo), 0u);
}

TEST(SaveRegion, WritesNothingThatIsNotWhole) {
  const Canvas canvas(model("local"), request_of({}, {1}), {.tile = 16});
  const std::string file = testing::TempDir() + "/canvas.png";
  std::filesystem::remove(file);
  std::stop_source stop;
  EXPECT_FALSE(save_region(
      file, canvas, {0, 0, 50, 50}, {}, [&](const Progress&) { stop.request_stop(); }, stop.get_token()));
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_EQ(refusal([&] {
              save_region(testing::TempDir() + "/a.webp", canvas, {0, 0, 20'000, 5});
            }),
            "20000 x 5 pixels: a WebP's sides must be at most 16383; write .png");
  EXPECT_EQ(
      refusal([&] {
        require_savable(testing::TempDir() + "/a.npz", canvas, {0, 0, 20, 5});
      }),
      testing::TempDir() + "/a.npz: a canvas is saved to .png, .jpg, .webp or .npy, which can be written band by band");
  EXPECT_EQ(refusal([&] {
              save_region(file, canvas, {0, 0, 20, 5}, {.columns = 3});
            }),
            "columns = 3: a canvas makes one picture");
}

TEST(CanvasLabels, ArePaintedOverTheirPlaceAndGoOnAroundIt) {
  CanvasOptions options;
  options.tile = 16;
  // 0 1 2 above 2 2 0, each of 5 x 7 pixels.
  options.label_map = LabelMap{.labels = {0, 1, 2, 2, 2, 0}, .width = 3, .height = 2, .place = {-4, 3, 15, 14}};
  const auto expected = [](std::int64_t x, std::int64_t y) {
    const std::int64_t column = std::clamp<std::int64_t>((x + 4) < 0 ? 0 : (x + 4) / 5, 0, 2);
    const std::int64_t row = y < 10 ? 0 : 1;
    return std::vector<float>{0, 1, 2, 2, 2, 0}[static_cast<std::size_t>(3 * row + column)];
  };
  const Canvas canvas(model("Painted"), request_of(), options);
  EXPECT_FALSE(canvas.report().label);
  const Rectangle r{-20, -11, 45, 50};
  const Region region = canvas.region(r);
  for (std::int64_t y = 0; y < r.height; ++y) {
    for (std::int64_t x = 0; x < r.width; ++x)
      EXPECT_EQ(at(region, 0, y, x), expected(r.x + x, r.y + y)) << x << " " << y;
  }

  // Of a plane that begins anew, the map too.
  options.period_width = options.period_height = 32;
  options.label_map->place = {0, 0, 32, 32};
  options.label_map->labels = {0, 1, 2, 1};
  options.label_map->width = options.label_map->height = 2;
  const Canvas seamless(model("Painted"), request_of(), options);
  const Region whole = seamless.region({0, 0, 32, 32});
  EXPECT_EQ(seamless.region({-32, 64, 32, 32}).values, whole.values);
  EXPECT_EQ(at(whole, 1, 31, 15), 2);
  EXPECT_EQ(at(whole, 1, 31, 16), 1);
}

TEST(CanvasLabels, ThatBreakARuleAreRefused) {
  const auto refusal = [](const std::string& name,
                          const std::function<void(Request&, LabelMap&)>& change) -> std::string {
    CanvasOptions options;
    options.label_map = LabelMap{.labels = {0, 2}, .width = 2, .height = 1, .place = {0, 0, 8, 8}};
    Request request = request_of();
    change(request, *options.label_map);
    try {
      const Canvas canvas(model(name), request, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("Painted", [](Request&, LabelMap&) {}), "accepted");
  EXPECT_EQ(refusal("local", [](Request&, LabelMap&) {}), "label_map: local takes no map of labels");
  EXPECT_EQ(refusal("Painted", [](Request& r, LabelMap&) { r.labels = {1}; }),
            "label_map stands in place of a label: give one of them");
  EXPECT_EQ(refusal("Painted", [](Request&, LabelMap& map) { map.height = 2; }),
            "label_map has 2 labels; it takes 2 x 2");
  EXPECT_EQ(refusal("Painted", [](Request&, LabelMap& map) { map.labels[1] = 3; }).substr(0, 27),
            "label_map.labels[1] = 3 mus");
  EXPECT_EQ(refusal("Painted", [](Request&, LabelMap& map) { map.place.width = 0; }).substr(0, 25),
            "label_map.place.width = 0");
  EXPECT_EQ(refusal("Painted", [](Request& r, LabelMap&) { r.label_map = {1}; }),
            "label_map of a request is that of a sample; a canvas's is among its options");
}

}  // namespace
}  // namespace onestep
