#include "metadata.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "levels.hpp"
#include "noise_input.hpp"
#include "onestep/error.hpp"
#include "preconditioning.hpp"

namespace onestep {
namespace {

using Json = nlohmann::json;

using Names = std::vector<std::string>;

std::string joined(const Names& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// One object of the metadata, with its place in the file for messages.
class Fields {
 public:
  Fields(const Json& object, std::string path, const std::string& file, const Names& known)
      : object_(object), path_(std::move(path)), file_(file) {
    if (!object.is_object()) fail("", "must be an object");
    for (const auto& [name, value] : object.items()) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        fail(name, "is an unknown field; known are " + joined(known));
      }
    }
  }

  bool has(const std::string& name) const { return object_.contains(name) && !object_.at(name).is_null(); }

  const Json& at(const std::string& name) const {
    if (!object_.contains(name))
      throw Error(ErrorKind::model, file_ + ": onestep.json: " + place(name) + " is missing");
    return object_.at(name);
  }

  std::string text(const std::string& name) const {
    if (!at(name).is_string()) fail(name, "must be a string");
    return at(name).get<std::string>();
  }

  std::string one_of(const std::string& name, const Names& allowed) const {
    const std::string value = text(name);
    if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
      fail(name, "must be one of " + joined(allowed));
    }
    return value;
  }

  double number(const std::string& name, double low, double high, const std::string& rule) const {
    const Json& value = at(name);
    // JSON can spell 1e999, which reads as infinity.
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < low ||
        value.get<double>() > high) {
      fail(name, "must be " + rule);
    }
    return value.get<double>();
  }

  double positive(const std::string& name) const { return number(name, 1e-30, 1e30, "a number above 0"); }

  std::int64_t whole(const std::string& name, std::int64_t low, std::int64_t high) const {
    const Json& value = at(name);
    if (!value.is_number_integer() || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
      fail(name, "must be a whole number in [" + std::to_string(low) + ", " + std::to_string(high) + "]");
    }
    return value.get<std::int64_t>();
  }

  [[noreturn]] void fail(const std::string& name, const std::string& rule) const {
    const Json& value = name.empty() ? object_ : object_.at(name);
    std::string shown = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
    throw Error(ErrorKind::model, file_ + ": onestep.json: " + place(name) + " = " + shown + " " + rule);
  }

  Fields object(const std::string& name, const Names& known) const {
    return Fields(at(name), place(name), file_, known);
  }

  /// An object whose `kind` is a row of `table`, which says what other fields it may have.
  template <typename Row>
  std::pair<Fields, const Row*> kind(const std::string& name, const std::vector<Row>& table) const {
    Names names, all;
    for (const Row& row : table) names.push_back(row.name);
    for (const auto& [field, value] : at(name).items()) all.push_back(field);
    const std::string chosen = object(name, all).one_of("kind", names);
    const Row& row = *std::find_if(table.begin(), table.end(), [&](const Row& r) { return r.name == chosen; });
    Names known{"kind"};
    known.insert(known.end(), row.fields.begin(), row.fields.end());
    return {object(name, known), &row};
  }

 private:
  std::string place(const std::string& name) const {
    if (name.empty()) return path_.empty() ? "the whole" : path_;
    return path_.empty() ? name : path_ + "." + name;
  }

  const Json& object_;
  std::string path_;
  const std::string& file_;
};

constexpr std::int64_t most = 1 << 20;  // of a size or a number of labels: far above any model, far below overflow

void read_sample(const Fields& fields, ModelInfo& info) {
  const std::string modality = fields.one_of("modality", {"image", "audio", "video"});
  info.data.modality = modality == "audio" ? Modality::audio : modality == "video" ? Modality::video : Modality::image;
  const std::size_t dimensions = modality == "audio" ? 2 : modality == "image" ? 3 : 4;
  const Json& shape = fields.at("shape");
  if (!shape.is_array() || shape.size() != dimensions) {
    fields.fail("shape", "must be " + std::to_string(dimensions) + " sizes for " + modality);
  }
  for (const Json& size : shape) {
    if (!size.is_number_integer() || size.get<std::int64_t>() < 1 || size.get<std::int64_t>() > most) {
      fields.fail("shape", "must hold whole numbers in [1, " + std::to_string(most) + "]");
    }
    info.sample.shape.push_back(size.get<std::int64_t>());
    info.sample.sizes.push_back({size.get<std::int64_t>()});
  }
  info.data.shape = info.sample.shape;
  info.data.sizes = info.sample.sizes;
  info.data.rate = info.data.modality == Modality::audio   ? static_cast<double>(fields.whole("sample_rate", 1, most))
                   : info.data.modality == Modality::video ? fields.positive("frame_rate")
                                                           : 0;
  if (fields.has("range")) {
    const Json& range = fields.at("range");
    if (!range.is_array() || range.size() != 2 || !range[0].is_number() || !range[1].is_number() ||
        range[0].get<double>() >= range[1].get<double>()) {
      fields.fail("range", "must be two numbers, the lower first");
    }
    info.data.range_low = range[0].get<double>();
    info.data.range_high = range[1].get<double>();
  }
}

void read_labels(const Fields& fields, ModelInfo& info) {
  info.label_count = fields.whole("count", 1, most);
  ConditionInfo condition;
  condition.name = "label";
  condition.kind = ConditionKind::label;
  info.conditions.push_back(std::move(condition));
  if (fields.has("encoding")) info.one_hot_labels = fields.one_of("encoding", {"index", "one_hot"}) == "one_hot";
  if (fields.has("names")) {
    const Json& names = fields.at("names");
    if (!names.is_array() || names.size() != static_cast<std::size_t>(info.label_count)) {
      fields.fail("names", "must be an array of labels.count = " + std::to_string(info.label_count) + " strings");
    }
    for (const Json& name : names) {
      if (!name.is_string()) fields.fail("names", "must hold strings");
      info.label_names.push_back(name.get<std::string>());
    }
  }
  if (fields.has("null")) info.null_label = fields.whole("null", info.label_count, 2 * most);
}

void read_timesteps(const Fields& fields, ModelInfo& info) {
  if (fields.has("lookup")) {
    info.interpolated_timesteps = fields.one_of("lookup", {"nearest", "interpolated"}) == "interpolated";
  }
  const Fields schedule = fields.object("schedule", {"kind", "beta_start", "beta_end", "count"});
  const std::string kind = schedule.one_of("kind", {"linear", "scaled_linear", "cosine"});
  const auto count = static_cast<int>(schedule.whole("count", 2, 100'000));
  const bool betas = kind != "cosine";
  const double first = betas ? schedule.number("beta_start", 1e-12, 0.999, "a number in (0, 0.999]") : 0;
  const double last = betas ? schedule.number("beta_end", first, 0.999, "a number in [beta_start, 0.999]") : 0;
  info.timestep_sigmas = timestep_sigmas(kind, first, last, count);
  if (!std::isfinite(info.timestep_sigmas.back())) {
    schedule.fail("beta_end", "leaves nothing of the data: sigma is infinite; use fewer or smaller betas");
  }
}

void read_network(const Fields& fields, ModelInfo& info) {
  const auto [input, input_row] = fields.kind("noise_input", noise_inputs());
  info.noise_input = input_row->name;
  if (input.has("scale") || info.noise_input == "log_sigma")
    info.noise_scale = input.positive("scale");
  else
    info.noise_scale = 1;
  if (info.noise_input == "timestep") read_timesteps(input, info);

  const auto [prediction, prediction_row] = fields.kind("prediction", predictions());
  info.prediction = prediction_row->name;
  const bool needs_data = info.prediction == "edm" || info.prediction == "trigflow";
  if (needs_data || prediction.has("sigma_data")) info.sigma_data = prediction.positive("sigma_data");
  if (info.prediction == "edm") {
    info.boundary_sigma = prediction.number("boundary_sigma", 0, 1e30, "a number of 0 or more");
  }
  if (prediction.has("timestep_scaling")) {
    info.timestep_scaling = prediction.positive("timestep_scaling");
    if (info.noise_input != "timestep") prediction.fail("timestep_scaling", "needs noise_input.kind timestep");
  }
  if (info.noise_input == "angle" && !needs_data) {
    input.fail("kind", "needs a prediction with sigma_data: edm or trigflow");
  }
  if (fields.has("guidance_input")) {
    ConditionInfo guidance;
    guidance.name = "guidance";
    guidance.high = 1e6;
    guidance.default_value =
        fields.object("guidance_input", {"default"}).number("default", 0, 1e6, "a number of 0 or more");
    info.conditions.push_back(std::move(guidance));
  }
}

void require_within_timesteps(const Fields& noise, const ModelInfo& info) {
  if (info.timestep_sigmas.empty()) return;
  // 1e-6, relative: what rounding to six digits leaves.
  if (info.sigma_min < info.timestep_sigmas.front() * (1 - 1e-6)) {
    noise.fail("sigma_min", "must not be below the first timestep's, " + std::to_string(info.timestep_sigmas.front()));
  }
  if (info.sigma_max > info.timestep_sigmas.back() * (1 + 1e-6)) {
    noise.fail("sigma_max", "must not exceed the last timestep's, " + std::to_string(info.timestep_sigmas.back()));
  }
}

void read_sampling(const Fields& fields, const std::string& file, ModelInfo& info) {
  if (fields.has("renoise")) info.renoise_by_level = fields.one_of("renoise", {"boundary", "level"}) == "level";
  if (fields.has("clip_denoised")) {
    if (!fields.at("clip_denoised").is_boolean()) fields.fail("clip_denoised", "must be true or false");
    info.clip_denoised = fields.at("clip_denoised").get<bool>();
  }
  if (!fields.has("levels")) return;
  if (!fields.at("levels").is_object()) fields.fail("levels", "must be an object: a number of steps to its levels");
  for (const auto& [key, value] : fields.at("levels").items()) {
    const bool numeric =
        value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_number(); });
    if (!numeric || value.empty() || key != std::to_string(value.size())) {
      fields.fail("levels", "must map a number of steps to as many numbers; \"" + key + "\" does not");
    }
    const auto levels = value.get<std::vector<double>>();
    try {
      require_falling(levels, info.boundary_sigma);
    } catch (const Error& error) {
      throw Error(ErrorKind::model, file + ": onestep.json: sampling.levels." + key + ": " + error.what());
    }
    if (levels.front() > info.sigma_max * (1 + 1e-6)) fields.fail("levels", "must not exceed noise.sigma_max");
    info.levels[static_cast<int>(levels.size())] = levels;
  }
}

}  // namespace

ModelInfo parse_metadata(const std::string& json, const std::string& file) {
  Json root;
  try {
    root = Json::parse(json);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::model, file + ": onestep.json is not valid JSON: " + error.what());
  }
  const Fields fields(
      root, "", file,
      {"format", "name", "license", "role", "sample", "labels", "network", "noise", "sampling", "card"});
  const std::int64_t format = fields.whole("format", 1, most);
  if (format != 1) {
    throw Error(ErrorKind::model, file + ": onestep.json: format = " + std::to_string(format) +
                                      ", but this version reads format 1; use a newer onestep");
  }
  ModelInfo info;
  info.name = fields.text("name");
  if (fields.has("license")) info.license = fields.text("license");
  const std::string role = fields.one_of("role", {"consistency", "diffusion", "flow_map"});
  info.role = role == "consistency" ? Role::consistency : role == "diffusion" ? Role::diffusion : Role::flow_map;
  read_sample(fields.object("sample", {"modality", "shape", "range", "sample_rate", "frame_rate"}), info);
  if (fields.has("labels")) read_labels(fields.object("labels", {"count", "names", "encoding", "null"}), info);
  read_network(fields.object("network", {"noise_input", "prediction", "guidance_input"}), info);

  const Fields noise = fields.object("noise", {"sigma_min", "sigma_max", "rho"});
  info.sigma_min = noise.positive("sigma_min");
  info.sigma_max = noise.positive("sigma_max");
  if (info.sigma_max <= info.sigma_min) noise.fail("sigma_max", "must be above sigma_min");
  info.rho = noise.positive("rho");
  require_within_timesteps(noise, info);
  if (info.boundary_sigma > info.sigma_min) noise.fail("sigma_min", "must not be below prediction.boundary_sigma");

  if (fields.has("sampling")) {
    read_sampling(fields.object("sampling", {"levels", "renoise", "clip_denoised"}), file, info);
  }
  if (fields.has("card")) {
    if (!root["card"].is_object()) fields.fail("card", "must be an object");
    info.card = root["card"].dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return info;
}

}  // namespace onestep
