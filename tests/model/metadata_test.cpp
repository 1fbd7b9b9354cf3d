#include "metadata.hpp"

#include <gtest/gtest.h>

#include <string>

#include "onestep/error.hpp"

namespace onestep {
namespace {

const std::string valid = R"({
  "format": 1, "name": "tiny", "license": "MIT", "role": "consistency",
  "sample": {"modality": "image", "shape": [1, 28, 28], "range": [-1, 1]},
  "labels": {"count": 2, "names": ["cat", "dog"], "encoding": "index", "null": 2},
  "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
              "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002}},
  "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
  "sampling": {"levels": {"1": [80.0], "2": [80.0, 0.821]}, "renoise": "boundary", "clip_denoised": true},
  "card": {"anything": ["at", "all"]}
})";

TEST(Metadata, IsReadFieldByField) {
  const ModelInfo info = parse_metadata(valid, "m.pt");
  EXPECT_EQ(info.name, "tiny");
  EXPECT_EQ(info.role, Role::consistency);
  EXPECT_EQ(info.sample.shape, (std::vector<std::int64_t>{1, 28, 28}));
  EXPECT_EQ(info.label_names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(info.null_label, 2);
  EXPECT_EQ(info.boundary_sigma, 0.002);
  EXPECT_EQ(info.levels.at(2), (std::vector<double>{80, 0.821}));
  EXPECT_FALSE(info.renoise_by_level);
  EXPECT_TRUE(info.clip_denoised);
}

struct Broken {
  std::string from, to, message;
};

class BrokenMetadata : public testing::TestWithParam<Broken> {};

TEST_P(BrokenMetadata, IsRefusedByNameValueAndRule) {
  std::string json = valid;
  const auto at = json.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  json.replace(at, GetParam().from.size(), GetParam().to);
  try {
    parse_metadata(json, "m.pt");
    FAIL() << "accepted: " << GetParam().to;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).substr(0, GetParam().message.size()), GetParam().message);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rules, BrokenMetadata,
    testing::Values(
        Broken{"\"format\": 1,", "\"format\": ", "m.pt: onestep.json is not valid JSON: "},
        Broken{"\"format\": 1", "\"format\": 3",
               "m.pt: onestep.json: format = 3, but this version reads formats up to 2; use a newer onestep"},
        Broken{"\"format\": 1, ", "", "m.pt: onestep.json: format is missing"},
        Broken{"\"tiny\"", "3", "m.pt: onestep.json: name = 3 must be a string"},
        Broken{"\"license\"", "\"licence\"", "m.pt: onestep.json: licence = \"MIT\" is an unknown field; known are "},
        Broken{"\"consistency\"", "\"gan\"",
               "m.pt: onestep.json: role = \"gan\" must be one of consistency, diffusion, flow_map"},
        Broken{"[1, 28, 28]", "[28, 28]", "m.pt: onestep.json: sample.shape = [28,28] must be 3 sizes for image"},
        Broken{"[1, 28, 28]", "[1, 0, 28]",
               "m.pt: onestep.json: sample.shape = [1,0,28] must hold whole numbers in [1, "},
        Broken{"[-1, 1]", "[1, -1]", "m.pt: onestep.json: sample.range = [1,-1] must be two numbers, the lower first"},
        Broken{"\"count\": 2", "\"count\": 0", "m.pt: onestep.json: labels.count = 0 must be a whole number in [1, "},
        Broken{"\"cat\", ", "",
               "m.pt: onestep.json: labels.names = [\"dog\"] must be an array of labels.count = 2 strings"},
        Broken{"\"null\": 2", "\"null\": 1", "m.pt: onestep.json: labels.null = 1 must be a whole number in [2, "},
        Broken{"\"log_sigma\"", "\"time\"",
               "m.pt: onestep.json: network.noise_input.kind = \"time\" must be one of log_sigma, sigma, angle, "},
        Broken{"\"sigma_data\": 0.5", "\"sigma_data\": -1",
               "m.pt: onestep.json: network.prediction.sigma_data = -1 must be a number above 0"},
        Broken{"\"boundary_sigma\": 0.002", "\"boundary_sigma\": 0.01",
               "m.pt: onestep.json: noise.sigma_min = 0.002 must not be below prediction.boundary_sigma"},
        Broken{"\"sigma_max\": 80.0", "\"sigma_max\": 0.001",
               "m.pt: onestep.json: noise.sigma_max = 0.001 must be above sigma_min"},
        Broken{"\"rho\": 7.0", "\"rho\": \"7\"", "m.pt: onestep.json: noise.rho = \"7\" must be a number above 0"},
        Broken{"[80.0, 0.821]", "[80.0, 90]",
               "m.pt: onestep.json: sampling.levels.2: levels[1] = 90 must be below levels[0] = 80"},
        Broken{"\"2\": [", "\"3\": [", "m.pt: onestep.json: sampling.levels = "},
        Broken{"\"renoise\": \"boundary\"", "\"renoise\": \"none\"",
               "m.pt: onestep.json: sampling.renoise = \"none\" must be one of boundary, level"},
        Broken{"\"clip_denoised\": true", "\"clip_denoised\": 1",
               "m.pt: onestep.json: sampling.clip_denoised = 1 must be true or false"}));

std::string replaced(std::string json, const std::string& from, const std::string& to) {
  const auto at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return json.replace(at, from.size(), to);
}

const std::string log_sigma = R"({"kind": "log_sigma", "scale": 0.25})";
const std::string edm = R"({"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002})";
const std::string noise = R"({"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0})";
const std::string timestep = R"({"kind": "timestep", "lookup": "interpolated",
  "schedule": {"kind": "linear", "beta_start": 0.0001, "beta_end": 0.02, "count": 1000}})";

TEST(Metadata, OfEveryFamilyIsRead) {
  for (const char* prediction :
       {R"({"kind": "trigflow", "sigma_data": 0.5})", R"({"kind": "epsilon"})", R"({"kind": "v"})",
        R"({"kind": "sample"})", R"({"kind": "flow"})", R"({"kind": "denoised"})"}) {
    const std::string json = replaced(valid, edm, prediction);
    EXPECT_NO_THROW(parse_metadata(json, "m.pt")) << prediction;
    for (const char* input : {R"({"kind": "sigma"})", R"({"kind": "flow_time", "scale": 1000})"}) {
      EXPECT_NO_THROW(parse_metadata(replaced(json, log_sigma, input), "m.pt")) << input;
    }
  }
}

TEST(Metadata, OfALatentConsistencyModelIsRead) {
  std::string json = replaced(valid, log_sigma, timestep);
  json =
      replaced(json, edm,
               R"({"kind": "epsilon", "timestep_scaling": 10, "sigma_data": 0.5}, "guidance_input": {"default": 7.5})");
  json = replaced(json, noise, R"({"sigma_min": 0.0101, "sigma_max": 157.4, "rho": 7.0})");
  const ModelInfo info = parse_metadata(json, "m.pt");
  EXPECT_EQ(info.timestep_sigmas.size(), 1000U);
  EXPECT_TRUE(info.interpolated_timesteps);
  EXPECT_EQ(info.timestep_scaling, 10);
  EXPECT_EQ(guidance_input(info)->default_value, 7.5);
}

TEST(Metadata, OfFurtherFamiliesIsRefusedByRule) {
  const auto refusal = [](const std::string& json) -> std::string {
    try {
      parse_metadata(json, "m.pt");
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto says = [&](const std::string& json, const std::string& words) {
    EXPECT_NE(refusal(json).find(words), std::string::npos) << refusal(json);
  };
  const std::string timed = replaced(valid, log_sigma, timestep);
  says(timed, "noise.sigma_min = 0.002 must not be below the first timestep's");
  says(replaced(timed, noise, R"({"sigma_min": 0.02, "sigma_max": 160, "rho": 7})"),
       "noise.sigma_max = 160 must not exceed the last timestep's");
  says(replaced(timed, "\"count\": 1000", "\"count\": 1"), "network.noise_input.schedule.count = 1 must be");
  says(replaced(timed, "\"beta_end\": 0.02", "\"beta_end\": 1"), "schedule.beta_end = 1 must be");
  says(replaced(timed, "\"interpolated\"", "\"cubic\""), "lookup = \"cubic\" must be one of nearest, interpolated");
  says(replaced(valid, edm, R"({"kind": "epsilon", "timestep_scaling": 10})"), "needs noise_input.kind timestep");
  says(replaced(valid, edm, R"({"kind": "flow", "sigma_data": 0.5})"),
       "network.prediction.sigma_data = 0.5 is an unknown field");
  says(replaced(valid, edm, R"({"kind": "trigflow"})"), "network.prediction.sigma_data is missing");
  says(replaced(replaced(valid, edm, R"({"kind": "flow"})"), log_sigma, R"({"kind": "angle"})"),
       "needs a prediction with sigma_data");
  says(replaced(valid, "\"encoding\": \"index\"", "\"encoding\": \"binary\""), "must be one of index, one_hot");
  says(replaced(valid, edm + "}", edm + R"(, "guidance_input": {"default": -1}})"),
       "guidance_input.default = -1 must be");
}

const std::string latent = R"({
  "format": 2, "name": "latent", "role": "consistency",
  "components": {"denoiser": "unet.pt", "decoder": "vae.pt", "text_encoder": "clip.pt"},
  "sample": {"shape": [4, "H", "W"], "multiple": 2, "default": {"H": 8, "W": 6}, "halo": 24},
  "data": {"modality": "image", "shape": [3, "8H", "8W"], "range": [0, 1]},
  "conditions": [{"name": "style", "kind": "class", "count": 3, "null": 3},
                 {"name": "guidance", "kind": "scalar", "default": 8, "range": [0, 20]},
                 {"name": "prompt", "kind": "tokens", "shape": [3, 32], "count": 10, "null": [1, 2, 2], "pad": 2, "mask": true},
                 {"name": "pose", "kind": "image", "shape": [1, "8H", "8W"]},
                 {"name": "look", "kind": "vector", "shape": [16]}],
  "network": {"noise_input": {"kind": "flow_time", "shift": 3, "noise_scale": 2}, "prediction": {"kind": "flow"}},
  "noise": {"sigma_min": 0.002, "sigma_max": 80.0},
  "sampling": {"start": "level"}
})";

TEST(Metadata, OfFormat2IsReadFieldByField) {
  const ModelInfo info = parse_metadata(latent, "m");
  EXPECT_EQ(info.components.at("decoder"), "vae.pt");
  EXPECT_EQ(to_text(info.sample.sizes), "[4, H, W]");
  EXPECT_EQ(info.sample.shape, (std::vector<std::int64_t>{4, 8, 6}));
  EXPECT_EQ(info.sample.multiples.at("W"), 2);
  EXPECT_EQ(info.sample.halo, 24);
  EXPECT_EQ(to_text(info.data.sizes), "[3, 8H, 8W]");
  EXPECT_EQ(info.data.shape, (std::vector<std::int64_t>{3, 64, 48}));
  EXPECT_EQ(info.data.range_low, 0);
  ASSERT_EQ(info.conditions.size(), 5u);
  EXPECT_EQ(info.label_count, 3);
  EXPECT_EQ(guidance_input(info)->high, 20);
  const ConditionInfo& text = info.conditions[2];
  EXPECT_EQ(text.kind, ConditionKind::tokens);
  EXPECT_EQ(text.null_tokens, (std::vector<std::int64_t>{1, 2, 2}));
  EXPECT_EQ(text.high, 9);
  EXPECT_EQ(text.pad, 2);
  EXPECT_TRUE(text.mask);
  EXPECT_EQ(to_text(info.conditions[3].sizes), "[1, 8H, 8W]");
  EXPECT_EQ(info.flow_shift, 3);
  EXPECT_EQ(info.flow_noise_scale, 2);
  EXPECT_EQ(info.starts_from_unit_noise, false);
}

TEST(Metadata, OfFormat2WithoutComponentsIsOneNetwork) {
  std::string json = replaced(valid, "\"format\": 1", "\"format\": 2");
  json = replaced(json, R"("labels": {"count": 2, "names": ["cat", "dog"], "encoding": "index", "null": 2},)",
                  R"("conditions": [{"name": "label", "kind": "class", "count": 2}],)");
  json = replaced(json, R"("shape": [1, 28, 28])", R"("shape": [1, "H", 28], "default": {"H": 4})");
  const ModelInfo info = parse_metadata(json, "m.pt");
  EXPECT_EQ(info.data.shape, (std::vector<std::int64_t>{1, 4, 28}));
  EXPECT_EQ(info.data.sizes, info.sample.sizes);
}

TEST(Metadata, OfFormat2MayHaveAMapOfLabels) {
  const std::string style = R"({"name": "style", "kind": "class", "count": 3, "null": 3)";
  EXPECT_FALSE(parse_metadata(latent, "m").conditions[0].map);
  const std::string with_map = replaced(latent, style, style + R"(, "map": true)");
  EXPECT_TRUE(parse_metadata(with_map, "m").conditions[0].map);
  EXPECT_THROW(parse_metadata(replaced(with_map, "\"null\": 3", R"("encoding": "one_hot")"), "m"), Error);
}

TEST(Metadata, OfFormat2IsRefusedByRule) {
  const auto says = [](const std::string& from, const std::string& to, const std::string& words) {
    try {
      parse_metadata(replaced(latent, from, to), "m");
      ADD_FAILURE() << "accepted: " << to;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
      EXPECT_EQ(error.kind(), ErrorKind::model);
    }
  };
  says("\"unet.pt\"", "\"../unet.pt\"", "components.denoiser = \"../unet.pt\" must be the name of a file");
  says("\"unet.pt\"", "\".hidden\"", "must be the name of a file");
  says("\"denoiser\": \"unet.pt\", ", "", "components.denoiser is missing");
  says("\"decoder\": \"vae.pt\", ", "", "must name a decoder");
  says(", \"text_encoder\": \"clip.pt\"", "", "must name a text_encoder");
  says("\"halo\": 24", "\"halo\": -1", "sample.halo = -1 must be");
  says("\"H\": 8, ", "", "sample.default.H is missing");
  says("\"H\": 8", "\"H\": 7", "sample.default.H = 7 must be a multiple of sample.multiple = 2");
  says("\"H\": 8", "\"H\": 8, \"T\": 1", "sample.default.T = 1 is an unknown field");
  says("[4, \"H\", \"W\"]", "[4, \"2H\", \"W\"]", "or names of free sizes such as");
  says("[4, \"H\", \"W\"]", "[4, \"N\", \"W\"]", "sample.shape = [4,\"N\",\"W\"] must hold whole numbers");
  says("[3, \"8H\"", "[3, \"8Q\"", "has the free size Q");
  says("[1, \"8H\"", "[1, \"8Q\"", "has the free size Q, which sample.shape has not");
  says("\"H\": 8, \"W\": 6", "\"H\": 65536, \"W\": 65536", "must not have more than 2^31 values");
  says("\"default\": 8,", "\"default\": 21,", "conditions[1].default = 21 must be a number in its range");
  says("\"null\": [1, 2, 2]", "\"null\": [1, 2]", "must be 3 token numbers");
  says("\"null\": [1, 2, 2]", "\"null\": [1, 2, 10]", "in [0, 9], as count has it");
  says("\"pad\": 2", "\"pad\": 10", "conditions[2].pad = 10 must be a whole number in [0, 9]");
  says("\"count\": 10, ", "", "conditions[2].count is missing");
  says("\"name\": \"look\"", "\"name\": \"pose\"", "conditions[4].name = \"pose\" must not stand twice");
  says("\"kind\": \"vector\"", "\"kind\": \"sound\"", "must be one of class, image, scalar, tokens, vector");
  says("\"pad\": 2", "\"padding\": 2", "conditions[2].padding = 2 is an unknown field");
  says("\"shift\": 3", "\"shift\": 0", "noise_input.shift = 0 must be a number above 0");
  says("\"start\": \"level\"", "\"start\": \"level\", \"clip_denoised\": true", "clip_denoised = true must be false");
}

TEST(Metadata, OfMusicSaysHowNotesAreRead) {
  const std::string image = R"({"modality": "image", "shape": [1, 28, 28], "range": [-1, 1]})";
  const auto of = [&](const std::string& sample, const std::string& format = "2") {
    const std::string with_sample = replaced(valid, image, R"({"modality": "music", "range": [0, 2], )" + sample + "}");
    const std::string labels = R"("labels": {"count": 2, "names": ["cat", "dog"], "encoding": "index", "null": 2},)";
    return replaced(replaced(with_sample, labels, ""), "\"format\": 1", "\"format\": " + format);
  };
  const std::string tempo = R"("shape": [4, 60, 48], "tempo": 90, )";
  const DataSpace data = parse_metadata(of(tempo + R"("lowest_pitch": 33, "thresholds": [0.5, 1.5])"), "m").data;
  EXPECT_EQ(data.modality, Modality::music);
  EXPECT_EQ(data.rate, 90);
  EXPECT_EQ(data.roll.lowest_pitch, 33);
  EXPECT_EQ(data.roll.onset_threshold, 0.5);
  EXPECT_EQ(data.roll.held_threshold, 1.5);
  const DataSpace by_default = parse_metadata(of(tempo + R"("lowest_pitch": 68)"), "m").data;
  EXPECT_EQ(by_default.roll.onset_threshold, 1);
  EXPECT_EQ(by_default.roll.held_threshold, 1);
  const auto says = [](const std::string& json, const std::string& words) {
    try {
      parse_metadata(json, "m");
      ADD_FAILURE() << "accepted: " << json;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  says(of(R"("shape": [4, 60, 48])", "1"), "sample.modality = \"music\" must be one of");
  says(of(tempo + R"("lowest_pitch": 69)"), "sample.lowest_pitch = 69 must be a whole number in [0, 68]");
  says(of(tempo + R"("lowest_pitch": 33, "thresholds": [0.5, 2])"), "must be two numbers within the range");
  says(of(R"("shape": [4, 60, 40], "tempo": 90, "lowest_pitch": 33)"), "whole bars of 16 sixteenths");
  says(of(R"("shape": [3, 60, 48], "tempo": 90, "lowest_pitch": 33)"), "must be [4, pitches, sixteenths]");
  says(of(R"("shape": [4, 129, 48], "tempo": 90, "lowest_pitch": 0)"), "1 to 128 pitches");
  says(of(R"("shape": [4, 60, 48], "tempo": 9, "lowest_pitch": 33)"),
       "sample.tempo = 9 must be a number of quarter notes");
  says(of(R"("shape": [4, 60, 48], "lowest_pitch": 33)"), "sample.tempo is missing");
}

TEST(Metadata, OfFormat1KnowsNoFieldOfFormat2) {
  EXPECT_THROW(parse_metadata(replaced(valid, "\"range\": [-1, 1]", "\"halo\": 3"), "m.pt"), Error);
  EXPECT_THROW(parse_metadata(replaced(valid, "[1, 28, 28]", "[1, \"H\", 28]"), "m.pt"), Error);
  EXPECT_THROW(parse_metadata(replaced(valid, log_sigma, R"({"kind": "flow_time", "shift": 3})"), "m.pt"), Error);
}

TEST(Metadata, ThatNestsDeepIsRefused) {
  const auto nested = [](int depth) {
    return replaced(valid, "[\"at\", \"all\"]", std::string(depth, '[') + std::string(depth, ']'));
  };
  EXPECT_NO_THROW(parse_metadata(nested(50), "m.pt"));
  for (const int depth : {100, 1'000'000}) EXPECT_THROW(parse_metadata(nested(depth), "m.pt"), Error) << depth;
}

TEST(Metadata, ThatIsNoObjectIsRefused) {
  for (const char* json : {"", "[]", "3", "null", "{\"format\":", "\xff\xfe"}) {
    EXPECT_THROW(parse_metadata(json, "m.pt"), Error) << json;
  }
}

}  // namespace
}  // namespace onestep
