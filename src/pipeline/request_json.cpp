#include "onestep/request_json.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "bounded_json.hpp"
#include "require.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t most_seeds = 10'000'000;

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

[[noreturn]] void refuse_field(const std::string& field, const Json& value, const std::string& rule) {
  refuse(field + " = " + shown(value) + " must be " + rule);
}

double number(const std::string& field, const Json& value) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) refuse_field(field, value, "a finite number");
  return value.get<double>();
}

/// Of any type of whole numbers. JSON has them signed and unsigned.
template <typename Whole>
Whole whole(const std::string& field, const Json& value) {
  bool fits = false;
  if (value.is_number_unsigned())
    fits = std::in_range<Whole>(value.get<std::uint64_t>());
  else if (value.is_number_integer())
    fits = std::in_range<Whole>(value.get<std::int64_t>());
  if (!fits) {
    refuse_field(field, value,
                 "a whole number in [" + std::to_string(std::numeric_limits<Whole>::min()) + ", " +
                     std::to_string(std::numeric_limits<Whole>::max()) + "]");
  }
  return value.get<Whole>();
}

std::string text(const std::string& field, const Json& value) {
  if (!value.is_string()) refuse_field(field, value, "a string");
  return value.get<std::string>();
}

/// A value for each element of an array.
template <typename Read>
auto each(const std::string& field, const Json& array, Read read) {
  if (!array.is_array()) refuse_field(field, array, "an array");
  std::vector<decltype(read(field, array))> values;
  for (std::size_t i = 0; i < array.size(); ++i)
    values.push_back(read(field + "[" + std::to_string(i) + "]", array[i]));
  return values;
}

/// A value for each field of an object.
template <typename Read>
auto by_name(const std::string& field, const Json& object, Read read) {
  if (!object.is_object()) refuse_field(field, object, "an object");
  std::map<std::string, decltype(read(field, object))> values;
  for (const auto& [name, value] : object.items()) values.emplace(name, read(field + "." + name, value));
  return values;
}

std::vector<float> floats(const std::string& field, const Json& array) {
  return each(field, array, [](const std::string& place, const Json& value) {
    if (std::abs(number(place, value)) > std::numeric_limits<float>::max())
      refuse_field(place, value, "a number that float32 holds");
    return static_cast<float>(number(place, value));
  });
}

/// What a request says of its sampler, until all of it is known.
struct NamedSampler {
  std::string name;
  Levels levels;
  std::map<std::string, double> options;
};

using Take = void (*)(const Json& value, Request& request, NamedSampler& sampler, const ModelInfo& info);

const std::vector<std::pair<std::string, Take>>& fields() {
  static const std::vector<std::pair<std::string, Take>> all{
      {"seeds",
       [](const Json& value, Request& request, NamedSampler&, const ModelInfo&) {
         if (value.is_array() && value.size() > most_seeds)
           refuse("seeds has " + std::to_string(value.size()) + "; at most " + std::to_string(most_seeds) +
                  " are taken");
         request.seeds = each("seeds", value, whole<std::uint64_t>);
       }},
      {"count",
       [](const Json& value, Request& request, NamedSampler&, const ModelInfo&) {
         const auto count = whole<std::uint64_t>("count", value);
         if (count < 1 || count > most_seeds)
           refuse_field("count", value, "in [1, " + std::to_string(most_seeds) + "]");
         request.seeds.resize(count);
         std::iota(request.seeds.begin(), request.seeds.end(), 0);
       }},
      {"labels",
       [](const Json& value, Request& request, NamedSampler&, const ModelInfo& info) {
         request.labels = each("labels", value, [&](const std::string& place, const Json& label) {
           return label.is_string() ? find_label(label.get<std::string>(), info) : whole<std::int64_t>(place, label);
         });
       }},
      {"sampler", [](const Json& value, Request&, NamedSampler& sampler,
                     const ModelInfo&) { sampler.name = text("sampler", value); }},
      {"steps", [](const Json& value, Request&, NamedSampler& sampler,
                   const ModelInfo&) { sampler.levels.steps = whole<int>("steps", value); }},
      {"levels", [](const Json& value, Request&, NamedSampler& sampler,
                    const ModelInfo&) { sampler.levels.values = each("levels", value, number); }},
      {"schedule", [](const Json& value, Request&, NamedSampler& sampler,
                      const ModelInfo&) { sampler.levels.schedule = text("schedule", value); }},
      {"options", [](const Json& value, Request&, NamedSampler& sampler,
                     const ModelInfo&) { sampler.options = by_name("options", value, number); }},
      {"guidance", [](const Json& value, Request& request, NamedSampler&,
                      const ModelInfo&) { request.guidance = number("guidance", value); }},
      {"batch", [](const Json& value, Request& request, NamedSampler&,
                   const ModelInfo&) { request.batch = whole<std::int64_t>("batch", value); }},
      {"force",
       [](const Json& value, Request& request, NamedSampler&, const ModelInfo&) {
         if (!value.is_boolean()) refuse_field("force", value, "true or false");
         request.force = value.get<bool>();
       }},
      {"sizes", [](const Json& value, Request& request, NamedSampler&,
                   const ModelInfo&) { request.sizes = by_name("sizes", value, whole<std::int64_t>); }},
      {"tokens",
       [](const Json& value, Request& request, NamedSampler&, const ModelInfo&) {
         request.tokens = each("tokens", value, [](const std::string& place, const Json& tokens) {
           return each(place, tokens, whole<std::int64_t>);
         });
       }},
      {"conditions", [](const Json& value, Request& request, NamedSampler&,
                        const ModelInfo&) { request.conditions = by_name("conditions", value, floats); }},
      {"label_map", [](const Json& value, Request& request, NamedSampler&,
                       const ModelInfo&) { request.label_map = each("label_map", value, whole<std::int64_t>); }},
  };
  return all;
}

}  // namespace

Request request_of_json(const std::string& json, const ModelInfo& info) {
  const Json root = parse_request(json);
  Request request;
  NamedSampler sampler;
  for (const auto& [name, value] : root.items()) {
    const auto is_it = [&, &name = name](const auto& field) { return field.first == name; };
    const auto field = std::find_if(fields().begin(), fields().end(), is_it);
    if (field == fields().end()) {
      std::string known;
      for (const auto& each : fields()) known += (known.empty() ? "" : ", ") + each.first;
      refuse(name + " = " + shown(value) + " is an unknown field; known are " + known);
    }
    field->second(value, request, sampler, info);
  }
  if (root.contains("seeds") == root.contains("count")) refuse("give either seeds or count");
  if (!sampler.name.empty() || sampler.levels.steps || !sampler.levels.values.empty() ||
      !sampler.levels.schedule.empty() || !sampler.options.empty()) {
    request.sampler = make_sampler_for(info, sampler.name, std::move(sampler.levels), sampler.options);
  }
  return request;
}

std::string to_json(const Request& request, const ModelInfo& info) {
  if (std::holds_alternative<std::shared_ptr<const CustomSampler>>(request.sampler))
    refuse("a sampler of one's own has no name by which JSON could tell it");
  const Request plain;
  Json json{{"seeds", request.seeds}};
  for (const std::int64_t label : request.labels) {
    const std::optional<std::string> name = name_of_label(label, info);
    json["labels"].push_back(name ? Json(*name) : Json(label));
  }
  const SamplerParts sampler = parts_of(request.sampler);
  if (!sampler.name.empty()) {
    json["sampler"] = sampler.name;
    if (sampler.levels.steps) json["steps"] = *sampler.levels.steps;
    if (!sampler.levels.values.empty()) json["levels"] = sampler.levels.values;
    if (!sampler.levels.schedule.empty()) json["schedule"] = sampler.levels.schedule;
    if (!sampler.options.empty()) json["options"] = sampler.options;
  }
  if (request.guidance) json["guidance"] = *request.guidance;
  if (request.batch != plain.batch) json["batch"] = request.batch;
  if (request.force) json["force"] = true;
  if (!request.sizes.empty()) json["sizes"] = request.sizes;
  if (!request.tokens.empty()) json["tokens"] = request.tokens;
  if (!request.conditions.empty()) json["conditions"] = request.conditions;
  if (!request.label_map.empty()) json["label_map"] = request.label_map;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Sampler make_sampler_for(const ModelInfo& info, const std::string& name, Levels levels,
                         const std::map<std::string, double>& options) {
  return make_sampler(name.empty() ? parts_of(default_sampler(info)).name : name, std::move(levels), options);
}

}  // namespace onestep
