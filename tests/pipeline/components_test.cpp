// A model of several components: what the text says is what the denoiser draws and the decoder shows.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "onestep/generator.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

const std::string folder = ONESTEP_TINY_MODELS "/Latent";

const Generator& latent() {
  static const Generator generator = Generator::load(folder);
  return generator;
}

Request request_of(std::vector<std::uint64_t> seeds) {
  Request request;
  request.seeds = std::move(seeds);
  request.labels = {1};
  return request;
}

TEST(Components, DrawWhatTheTextSays) {
  Request request = request_of({0, 1, 2});
  request.labels = {0, 2};
  request.tokens = {{1, 2, 3}, {4, 4, 4, 4, 4}};  // the first is filled up, and masked there
  for (const std::int64_t batch : {1, 2, 64}) {
    request.batch = batch;
    const Result result = latent().generate(request);
    ASSERT_EQ(result.samples.size(), 3u);
    const std::vector<float> expected{2 * (2 + 0), 2 * (4 + 2), 2 * (2 + 0)};
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(result.samples[i].shape, (std::vector<std::int64_t>{3, 8, 12}));
      EXPECT_EQ(result.samples[i].values, std::vector<float>(3 * 8 * 12, expected[i]));
    }
  }
}

TEST(Components, DrawOfTheSizesAskedFor) {
  Request request = request_of({5});
  request.tokens = {{3}};
  request.sizes = {{"W", 10}};
  EXPECT_EQ(latent().plan(request).shape, (std::vector<std::int64_t>{3, 8, 20}));
  const Result result = latent().generate(request);
  EXPECT_EQ(result.samples[0].shape, (std::vector<std::int64_t>{3, 8, 20}));
  EXPECT_EQ(result.samples[0].values, std::vector<float>(3 * 8 * 20, 2 * (3 + 1)));
}

TEST(Components, AreGuidedAwayFromNoTextAndNoLabel) {
  Request request = request_of({0});
  request.tokens = {{6}};
  request.guidance = 3;
  const Result result = latent().generate(request);
  EXPECT_EQ(result.report.nfe, 2);
  const float with = 6 + 1, without = 0 + 3;  // the null label is a number too
  EXPECT_FLOAT_EQ(result.samples[0].values[0], 2 * (without + 3 * (with - without)));
}

TEST(Components, RefuseConditionsByNameValueAndRule) {
  const auto refusal = [](const std::function<void(Request&)>& change) -> std::string {
    Request request = request_of({0});
    change(request);
    try {
      latent().plan(request);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal([](Request& r) {
              r.tokens = {{1}, {1, 2, 3, 4, 5, 6}};
            }),
            "tokens[1] has 6 numbers; latent takes at most 5");
  EXPECT_EQ(refusal([](Request& r) {
              r.tokens = {{1, -2}};
            }),
            "tokens[0][1] = -2 must lie in [0, 9]: latent has 10 tokens");
  EXPECT_EQ(refusal([](Request& r) {
              r.tokens = {{1}, {10}};
            }),
            "tokens[1][0] = 10 must lie in [0, 9]: latent has 10 tokens");
  EXPECT_EQ(refusal([](Request& r) { r.conditions["pose"] = {1}; }),
            "condition pose is unknown; latent has label, prompt");
  EXPECT_EQ(refusal([](Request& r) { r.sizes = {{"T", 4}}; }), "size T is unknown; latent has the free sizes H, W");
  EXPECT_EQ(refusal([](Request& r) { r.sizes = {{"W", 5}}; }), "size W = 5 must be a multiple of 2 in [2, 1048576]");
  EXPECT_EQ(refusal([](Request& r) { r.sizes = {{"W", 0}}; }), "size W = 0 must be a multiple of 2 in [2, 1048576]");
  EXPECT_EQ(refusal([](Request& r) {
              r.sizes = {{"W", 1 << 20}, {"H", 1 << 20}};
            }),
            "sizes H = 1048576, W = 1048576 make samples of more than 2^31 values");
  EXPECT_EQ(refusal([](Request& r) { r.edit = Stroke{std::vector<float>(4 * 4 * 6)}; }),
            "latent can't edit: its samples are what a decoder takes, and it has no encoder");
}

TEST(Components, ThatAreMissingOrWrongAreNamed) {
  const fs::path copy = fs::path(testing::TempDir()) / "onestep_components";
  const auto refusal = [&](const std::function<void()>& change) -> std::string {
    fs::remove_all(copy);
    fs::copy(folder, copy);
    change();
    try {
      Generator::load(copy);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::model);
      return error.what();
    }
    return "accepted";
  };
  const auto says = [&](const std::string& words, const std::function<void()>& change) {
    const std::string message = refusal(change);
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  says("components.decoder = \"decoder.pt\" is no file in this folder", [&] { fs::remove(copy / "decoder.pt"); });
  says("is a folder without onestep.json", [&] { fs::remove(copy / "onestep.json"); });
  says("decoder.pt: forward takes 2 arguments, but its metadata makes 1: sample",
       [&] { fs::copy_file(copy / "text_encoder.pt", copy / "decoder.pt", fs::copy_options::overwrite_existing); });
  says("onestep.json is not valid JSON", [&] { std::ofstream(copy / "onestep.json") << "{"; });
  fs::remove_all(copy);
}

std::vector<std::int64_t> stripes(std::int64_t height, std::int64_t width) {
  std::vector<std::int64_t> map;
  for (std::int64_t i = 0; i < height * width; ++i) map.push_back(i % width % 3);
  return map;
}

TEST(LabelMap, GivesEveryPixelItsLabel) {
  for (const bool compile : {true, false}) {
    LoadOptions options;
    options.compile = compile;
    const Generator painted = Generator::load(ONESTEP_TINY_MODELS "/Painted.pt", options);
    Request request;
    request.seeds = {0, 1, 2};
    request.batch = 2;
    request.sizes = {{"H", 2}, {"W", 8}};
    request.label_map = stripes(2, 8);
    const Result result = painted.generate(request);
    ASSERT_EQ(result.samples.size(), 3u);
    for (const Sample& sample : result.samples) {
      EXPECT_FALSE(sample.label);
      for (std::size_t i = 0; i < sample.values.size(); ++i)
        EXPECT_EQ(sample.values[i], static_cast<float>(i % 8 % 3)) << i;
    }
    // Another map, and labels, with the same network.
    request.label_map.assign(16, 2);
    EXPECT_EQ(painted.generate(request).samples[0].values, std::vector<float>(3 * 16, 2));
    request.label_map.clear();
    request.labels = {1};
    EXPECT_EQ(painted.generate(request).samples[0].values, std::vector<float>(3 * 16, 1));
  }
}

TEST(LabelMap, IsGuidedAwayFromNoLabelAnywhere) {
  const Generator painted = Generator::load(ONESTEP_TINY_MODELS "/Painted.pt");
  Request request;
  request.seeds = {0};
  request.label_map = stripes(4, 6);
  request.guidance = 2;
  const Result result = painted.generate(request);
  for (std::size_t i = 0; i < 3 * 4 * 6; ++i) {
    const auto label = static_cast<float>(i % 6 % 3);
    EXPECT_EQ(result.samples[0].values[i], 3 + 2 * (label - 3)) << i;  // the null label is 3
  }
}

TEST(LabelMap, IsRefusedByNameValueAndRule) {
  const auto refusal = [](const Generator& generator, const std::function<void(Request&)>& change) -> std::string {
    Request request;
    request.seeds = {0};
    request.label_map = stripes(4, 6);
    change(request);
    try {
      generator.plan(request);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "accepted";
  };
  const Generator painted = Generator::load(ONESTEP_TINY_MODELS "/Painted.pt");
  EXPECT_EQ(refusal(painted, [](Request&) {}), "accepted");
  EXPECT_EQ(refusal(painted, [](Request& r) { r.label_map[7] = 3; }), "accepted");  // no label there
  EXPECT_EQ(refusal(painted, [](Request& r) { r.label_map[7] = 4; }), "label_map[7] = 4 must lie in [0, 2]");
  EXPECT_EQ(refusal(painted, [](Request& r) { r.label_map[23] = -1; }), "label_map[23] = -1 must lie in [0, 2]");
  EXPECT_EQ(refusal(painted,
                    [](Request& r) {
                      r.sizes = {{"W", 8}};
                    }),
            "label_map has 24 labels; it takes 32, [4, 8], one for each pixel of the sample");
  EXPECT_EQ(refusal(painted, [](Request& r) { r.labels = {0}; }),
            "label_map stands in place of labels: give one of them");
  EXPECT_EQ(refusal(latent(), [](Request&) {}), "label_map: latent takes no map of labels");
}

}  // namespace
}  // namespace onestep
