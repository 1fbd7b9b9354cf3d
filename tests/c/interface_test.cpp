#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "onestep.h"
#include "onestep/canvas.hpp"
#include "onestep/generator.hpp"
#include "onestep/interpolate.hpp"

namespace {

const char* const model_file = ONESTEP_TEST_MODEL;

class CInterface : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(onestep_load(model_file, nullptr, &model), ONESTEP_OK) << onestep_error(); }
  void TearDown() override { onestep_free_model(model); }

  onestep_samples* drawn(const char* request, const onestep_extras* extras = nullptr) {
    onestep_samples* samples = nullptr;
    EXPECT_EQ(onestep_generate(model, request, extras, &samples), ONESTEP_OK) << onestep_error();
    return samples;
  }

  static std::vector<float> values(const onestep_samples* samples, std::size_t index) {
    onestep_sample sample{};
    sample.size = sizeof sample;
    EXPECT_EQ(onestep_get(samples, index, &sample), ONESTEP_OK) << onestep_error();
    return {sample.values, sample.values + sample.count};
  }

  onestep_model* model = nullptr;
};

TEST_F(CInterface, DrawsWhatTheLibraryDraws) {
  const onestep::Generator generator = onestep::Generator::load(model_file);
  onestep::Request request;
  request.seeds = {3, 4};
  request.labels = {5};
  request.sampler = onestep::ConsistencySampler{.levels = {.steps = 2}};
  const onestep::Result expected = generator.generate(request);

  onestep_samples* samples = drawn(R"({"seeds": [3, 4], "labels": [5], "sampler": "consistency", "steps": 2})");
  ASSERT_EQ(onestep_count(samples), 2u);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(values(samples, i), expected.samples[i].values);

  onestep_report report{};
  report.size = sizeof report;
  ASSERT_EQ(onestep_report_of(samples, &report), ONESTEP_OK);
  EXPECT_STREQ(report.sampler, "consistency");
  EXPECT_EQ(report.nfe, 2);
  EXPECT_EQ(std::vector(report.levels, report.levels + report.level_count), expected.report.levels);
  onestep_free_samples(samples);
}

TEST_F(CInterface, EditsAsTheLibraryDoes) {
  const onestep::Generator generator = onestep::Generator::load(model_file);
  const std::size_t size = 28 * 28;
  std::vector<float> known(size, 0.25f), mask(size, 0.0f);
  std::fill_n(mask.begin(), size / 2, 1.0f);
  onestep::Request request;
  request.seeds = {7};
  request.edit = onestep::Inpaint{known, mask};
  onestep_extras extras = ONESTEP_EXTRAS_DEFAULTS;
  extras.edit = ONESTEP_INPAINT;
  extras.input = known.data();
  extras.input_count = known.size();
  extras.mask = mask.data();
  extras.mask_count = mask.size();
  onestep_samples* samples = drawn(R"({"seeds": [7]})", &extras);
  EXPECT_EQ(values(samples, 0), generator.generate(request).samples[0].values);
  onestep_free_samples(samples);
}

TEST_F(CInterface, HandsOverEachSample) {
  struct Seen {
    std::vector<std::uint64_t> seeds;
    std::vector<float> last;
  } seen;
  const auto take = [](const onestep_sample* sample, void* user) {
    auto* seen = static_cast<Seen*>(user);
    seen->seeds.push_back(sample->seed);
    seen->last.assign(sample->values, sample->values + sample->count);
    return seen->seeds.size() == 3 ? 1 : 0;
  };
  EXPECT_EQ(onestep_generate_each(model, R"({"count": 8, "batch": 2})", nullptr, take, &seen), ONESTEP_STOPPED);
  EXPECT_EQ(seen.seeds, (std::vector<std::uint64_t>{0, 1, 2}));
  onestep_samples* samples = drawn(R"({"seeds": [2]})");
  EXPECT_EQ(values(samples, 0), seen.last);
  onestep_free_samples(samples);
}

TEST_F(CInterface, StopsWhenACallbackSaysSo) {
  onestep_extras extras = ONESTEP_EXTRAS_DEFAULTS;
  extras.on_progress = [](const onestep_progress* progress, void*) { return progress->samples_done >= 2 ? 1 : 0; };
  onestep_samples* samples = nullptr;
  EXPECT_EQ(onestep_generate(model, R"({"count": 8, "batch": 2})", &extras, &samples), ONESTEP_STOPPED);
  EXPECT_EQ(onestep_count(samples), 2u);  // those finished
  onestep_free_samples(samples);
}

TEST_F(CInterface, DrawsRegionsOfACanvas) {
  const onestep::Generator generator = onestep::Generator::load(model_file);
  onestep::Request request;
  request.seeds = {1};
  request.labels = {2};
  const onestep::Region expected = onestep::Canvas(generator, request).region({-5, 9, 30, 20});

  onestep_canvas* canvas = nullptr;
  ASSERT_EQ(onestep_new_canvas(model, R"({"seeds": [1], "labels": [2]})", nullptr, &canvas), ONESTEP_OK)
      << onestep_error();
  onestep_free_model(model);  // lives on in the canvas
  model = nullptr;
  std::vector<float> values(600);
  ASSERT_EQ(onestep_region(canvas, -5, 9, 30, 20, values.data(), values.size(), nullptr, nullptr), ONESTEP_OK)
      << onestep_error();
  EXPECT_EQ(values, expected.values);
  EXPECT_EQ(onestep_region(canvas, -5, 9, 30, 20, values.data(), 599, nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_STREQ(onestep_error(), "count = 599 must be that of the values, 30 x 20");
  EXPECT_EQ(onestep_region(canvas, 0, 0, 0, 20, values.data(), 0, nullptr, nullptr), ONESTEP_USAGE);
  onestep_free_canvas(canvas);
}

TEST_F(CInterface, InterpolatesBetweenSeeds) {
  std::size_t count = 0;
  ASSERT_EQ(onestep_interpolate_seeds(model, 1, 2, 3, 1, nullptr, &count), ONESTEP_OK);
  std::vector<float> noise(count);
  ASSERT_EQ(onestep_interpolate_seeds(model, 1, 2, 3, 1, noise.data(), &count), ONESTEP_OK);
  EXPECT_EQ(noise, onestep::interpolate_seeds(onestep::describe_model(model_file).second, 1, 2, 3));
  --count;
  EXPECT_EQ(onestep_interpolate_seeds(model, 1, 2, 3, 1, noise.data(), &count), ONESTEP_USAGE);
}

TEST_F(CInterface, DescribesTheModel) {
  onestep_model_info info{};
  info.size = sizeof info;
  ASSERT_EQ(onestep_describe(model, &info), ONESTEP_OK) << onestep_error();
  EXPECT_STREQ(info.name, "fashion");
  EXPECT_STREQ(info.modality, "image");
  EXPECT_EQ(std::vector(info.shape, info.shape + info.rank), (std::vector<std::int64_t>{1, 28, 28}));
  EXPECT_EQ(info.label_count, 10);
  std::int64_t label = -1;
  ASSERT_EQ(onestep_find_label(model, "DRESS", &label), ONESTEP_OK);
  EXPECT_STREQ(onestep_label_name(model, label), "Dress");
  EXPECT_EQ(onestep_label_name(model, 10), nullptr);
  EXPECT_EQ(onestep_label_name(nullptr, 0), nullptr);
}

// A program that was compiled when structs were shorter gets what it knows of, and not a byte more; a longer one is
// understood as long as it asks for nothing new.
TEST_F(CInterface, KeepsToTheSizesOfStructs) {
  struct {
    onestep_model_info info;
    char behind[16];
  } place;
  std::memset(&place, 0x55, sizeof place);
  place.info.size = offsetof(onestep_model_info, license);
  ASSERT_EQ(onestep_describe(model, &place.info), ONESTEP_OK);
  EXPECT_STREQ(place.info.name, "fashion");
  const auto* bytes = reinterpret_cast<const unsigned char*>(&place);
  for (std::size_t i = place.info.size; i < sizeof place; ++i) ASSERT_EQ(bytes[i], 0x55) << i;

  struct {
    onestep_extras extras;
    std::int64_t more;
  } longer{ONESTEP_EXTRAS_DEFAULTS, 0};
  longer.extras.size = sizeof longer;
  onestep_free_samples(drawn(R"({"count": 1})", &longer.extras));
  longer.more = 1;
  onestep_samples* samples = nullptr;
  EXPECT_EQ(onestep_generate(model, R"({"count": 1})", &longer.extras, &samples), ONESTEP_USAGE);
  EXPECT_NE(std::strstr(onestep_error(), "extras has fields that this library"), nullptr) << onestep_error();
  longer.extras.size = 0;
  EXPECT_EQ(onestep_generate(model, R"({"count": 1})", &longer.extras, &samples), ONESTEP_USAGE);
}

TEST_F(CInterface, SaysWhatIsWrong) {
  onestep_model* none = model;
  EXPECT_EQ(onestep_load("no-such-model", nullptr, &none), ONESTEP_MODEL);
  EXPECT_EQ(none, nullptr);
  EXPECT_NE(std::strstr(onestep_error(), "no-such-model"), nullptr) << onestep_error();
  onestep_samples* samples = nullptr;
  const auto is_refused = [&](const char* request, const char* why) {
    EXPECT_EQ(onestep_generate(model, request, nullptr, &samples), ONESTEP_USAGE);
    EXPECT_NE(std::strstr(onestep_error(), why), nullptr) << onestep_error();
  };
  is_refused("{", "");
  is_refused(R"({"count": 1, "labels": ["hat"]})", "hat");
  is_refused(R"({"count": 1, "colour": "red"})", "colour");
  is_refused(nullptr, "request is NULL");
  EXPECT_EQ(onestep_save("/no/such/folder/a.png", drawn(R"({"count": 1})"), 0), ONESTEP_FILE);
  // One thread's error is not another's.
  std::thread([] { EXPECT_STREQ(onestep_error(), ""); }).join();
}

TEST_F(CInterface, RefusesNull) {
  onestep_samples* samples = nullptr;
  onestep_canvas* canvas = nullptr;
  onestep_model* loaded = nullptr;
  float value = 0;
  std::int64_t label = 0;
  std::size_t count = 0;
  const auto take = [](const onestep_sample*, void*) { return 0; };
  EXPECT_EQ(onestep_load(nullptr, nullptr, &loaded), ONESTEP_USAGE);
  EXPECT_EQ(onestep_load(model_file, nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_describe(model, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_describe(nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_find_label(nullptr, "dress", &label), ONESTEP_USAGE);
  EXPECT_EQ(onestep_find_label(model, nullptr, &label), ONESTEP_USAGE);
  EXPECT_EQ(onestep_find_label(model, "dress", nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_generate(nullptr, "{}", nullptr, &samples), ONESTEP_USAGE);
  EXPECT_EQ(onestep_generate(model, "{}", nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_generate_each(nullptr, "{}", nullptr, take, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_generate_each(model, R"({"count": 1})", nullptr, nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_plan(model, nullptr, nullptr, &samples), ONESTEP_USAGE);
  EXPECT_EQ(onestep_get(nullptr, 0, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_report_of(nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_save(nullptr, nullptr, 0), ONESTEP_USAGE);
  EXPECT_EQ(onestep_interpolate_seeds(model, 0, 1, 2, 1, nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_interpolate_seeds(nullptr, 0, 1, 2, 1, nullptr, &count), ONESTEP_USAGE);
  EXPECT_EQ(onestep_new_canvas(nullptr, "{}", nullptr, &canvas), ONESTEP_USAGE);
  EXPECT_EQ(onestep_new_canvas(model, R"({"count": 1})", nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_canvas_report_of(nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_region(nullptr, 0, 0, 1, 1, &value, 1, nullptr, nullptr), ONESTEP_USAGE);
  EXPECT_EQ(onestep_save_region("a.png", nullptr, 0, 0, 1, 1, nullptr, nullptr), ONESTEP_USAGE);
  onestep_extras extras = ONESTEP_EXTRAS_DEFAULTS;
  extras.noise_count = 784;
  EXPECT_EQ(onestep_generate(model, R"({"count": 1})", &extras, &samples), ONESTEP_USAGE);
  EXPECT_STREQ(onestep_error(), "extras.noise is NULL; give what onestep.h says");
  onestep_free_model(nullptr);
  onestep_free_samples(nullptr);
  onestep_free_canvas(nullptr);
  EXPECT_EQ(onestep_count(nullptr), 0u);
}

}  // namespace
