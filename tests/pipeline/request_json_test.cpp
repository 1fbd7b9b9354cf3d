#include "onestep/request_json.hpp"

#include <gtest/gtest.h>

namespace onestep {
namespace {

ModelInfo info() {
  ModelInfo info;
  info.name = "m";
  info.label_count = 3;
  info.label_names = {"Bag", "Coat", "coat"};
  return info;
}

TEST(RequestJson, IsReadFieldByField) {
  const Request request = request_of_json(
      R"({"seeds": [18446744073709551615, 0], "labels": ["bag", 2], "sampler": "heun", "levels": [80, 0.5],
          "options": {"churn": 40}, "guidance": 2.5, "batch": 3, "force": true, "sizes": {"H": 64},
          "tokens": [[1, 2], []], "conditions": {"look": [0.5, -1]}})",
      info());
  EXPECT_EQ(request.seeds, (std::vector<std::uint64_t>{~std::uint64_t{0}, 0}));
  EXPECT_EQ(request.labels, (std::vector<std::int64_t>{0, 2}));
  const auto& heun = std::get<HeunSampler>(request.sampler);
  EXPECT_EQ(heun.levels.values, (std::vector<double>{80, 0.5}));
  EXPECT_EQ(heun.churn.amount, 40);
  EXPECT_EQ(request.guidance, 2.5);
  EXPECT_EQ(request.batch, 3);
  EXPECT_TRUE(request.force);
  EXPECT_EQ(request.sizes.at("H"), 64);
  EXPECT_EQ(request.tokens, (std::vector<std::vector<std::int64_t>>{{1, 2}, {}}));
  EXPECT_EQ(request.conditions.at("look"), (std::vector<float>{0.5F, -1}));
}

TEST(RequestJson, WithoutASamplerLeavesItToTheModel) {
  const Request request = request_of_json(R"({"count": 3})", info());
  EXPECT_EQ(request.seeds, (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(request.sampler));
  // Steps alone are those of the default sampler.
  EXPECT_EQ(std::get<ConsistencySampler>(request_of_json(R"({"count": 1, "steps": 2})", info()).sampler).levels.steps,
            2);
}

TEST(RequestJson, SaysWhatWasReadFromIt) {
  for (
      const std::string json :
      {R"({"seeds":[5,18446744073709551615]})",
       R"({"seeds":[1],"labels":["Bag","Coat","coat"],"sampler":"gamma","steps":4,"options":{"gamma":0.3}})",
       R"({"seeds":[1],"sampler":"consistency","levels":[80.0,0.821],"guidance":0.1,"batch":7,"force":true})",
       R"({"seeds":[1],"sampler":"euler","schedule":"linear","sizes":{"H":8,"W":9},"tokens":[[1],[2,3]],"conditions":{"a":[0.5]}})",
       R"({"seeds":[1],"sizes":{"H":1,"W":3},"label_map":[0,2,1]})"}) {
    EXPECT_EQ(to_json(request_of_json(json, info()), info()), json);
  }
  // Every number comes back as it was.
  Request request;
  request.seeds = {1};
  request.sampler = ConsistencySampler{.levels = {.values = {79.99999999999999, 0.1 + 0.2}}};
  const Request back = request_of_json(to_json(request, info()), info());
  EXPECT_EQ(std::get<ConsistencySampler>(back.sampler).levels.values,
            std::get<ConsistencySampler>(request.sampler).levels.values);
}

TEST(RequestJson, IsRefusedByFieldValueAndRule) {
  const auto refusal = [](const std::string& json) -> std::string {
    try {
      request_of_json(json, info());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "accepted";
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "the request is not valid JSON"},
      {"[1]", "the request = [1] must be an object"},
      {"{}", "give either seeds or count"},
      {R"({"seeds": [1], "count": 2})", "give either seeds or count"},
      {R"({"seed": 1})", "seed = 1 is an unknown field; known are seeds, count, labels"},
      {R"({"seeds": 3})", "seeds = 3 must be an array"},
      {R"({"seeds": [1, -2]})", "seeds[1] = -2 must be a whole number in [0, 18446744073709551615]"},
      {R"({"seeds": [1.5]})", "seeds[0] = 1.5 must be a whole number"},
      {R"({"count": 0})", "count = 0 must be in [1, 10000000]"},
      {R"({"count": 100000000000})", "count = 100000000000 must be in [1, 10000000]"},
      {R"({"count": 1, "labels": ["shoe"]})", "unknown label shoe; m has 0 to 2, by name Bag, Coat, coat"},
      {R"({"count": 1, "labels": ["COAT"]})", "label COAT is the name of several labels of m: 1, 2"},
      {R"({"count": 1, "labels": [9223372036854775808]})", "labels[0] = 9223372036854775808 must be a whole number in"},
      {R"({"count": 1, "sampler": "magic"})", "sampler magic is none of"},
      {R"({"count": 1, "options": {"eta": 1}})", "eta is for the sampler ddim"},
      {R"({"count": 1, "guidance": 1e999})", "not valid JSON"},
      {R"({"count": 1, "guidance": "much"})", "guidance = \"much\" must be a finite number"},
      {R"({"count": 1, "steps": 3000000000})", "steps = 3000000000 must be a whole number in"},
      {R"({"count": 1, "force": 1})", "force = 1 must be true or false"},
      {R"({"count": 1, "sizes": [1]})", "sizes = [1] must be an object"},
      {R"({"count": 1, "tokens": [1]})", "tokens[0] = 1 must be an array"},
      {R"({"count": 1, "conditions": {"a": ["x"]}})", "conditions.a[0] = \"x\" must be a finite number"},
      {R"({"count": 1, "conditions": {"a": [1, -1e39]}})",
       "conditions.a[1] = -1e+39 must be a number that float32 holds"},
      {std::string(100'000, '[') + std::string(100'000, ']'), "the request nests deeper than 8 levels"},
  };
  for (const auto& [json, words] : cases) EXPECT_NE(refusal(json).find(words), std::string::npos) << refusal(json);
}

}  // namespace
}  // namespace onestep
