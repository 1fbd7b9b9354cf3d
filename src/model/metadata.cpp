#include "metadata.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "fields.hpp"
#include "levels.hpp"
#include "noise_input.hpp"
#include "onestep/error.hpp"
#include "onestep/score.hpp"
#include "preconditioning.hpp"

namespace onestep {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t most = 1 << 20;  // of a size or a number of labels: far above any model, far below overflow

constexpr std::int64_t most_values = std::int64_t{1} << 31;  // of one sample of the default size

/// A name of a free size, such as H, behind a number or not; empty for anything else. N is the samples'.
std::optional<Size> parse_size(const Json& json) {
  if (json.is_number_integer()) {
    const auto number = json.get<std::int64_t>();
    return number >= 1 && number <= most ? std::optional(Size{number, {}}) : std::nullopt;
  }
  if (!json.is_string()) return std::nullopt;
  const std::string text = json.get<std::string>();
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string name = text.substr(digits);
  const bool is_name = !name.empty() && name.size() <= 8 && name != "N" &&
                       std::all_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!is_name || digits > 6) return std::nullopt;
  const std::int64_t number = digits == 0 ? 1 : std::stoll(text.substr(0, digits));
  return number >= 1 && number <= most ? std::optional(Size{number, name}) : std::nullopt;
}

enum class FreeSizes { none, plain, times };

std::vector<Size> read_sizes(const Fields& fields, const std::string& name, std::optional<std::size_t> dimensions,
                             FreeSizes free, const std::string& of) {
  const Json& shape = fields.at(name);
  if (!shape.is_array() || shape.empty() || (dimensions && shape.size() != *dimensions)) {
    fields.fail(
        name, "must be " + (dimensions ? std::to_string(*dimensions) + " sizes" : std::string("sizes")) + " for " + of);
  }
  std::vector<Size> sizes;
  for (const Json& json : shape) {
    const std::optional<Size> size = parse_size(json);
    const bool fits =
        size && (size->name.empty() || free == FreeSizes::times || (free == FreeSizes::plain && size->number == 1));
    if (!fits) {
      fields.fail(name, "must hold whole numbers in [1, " + std::to_string(most) + "]" +
                            (free == FreeSizes::none    ? ""
                             : free == FreeSizes::plain ? ", or names of free sizes such as \"H\""
                                                        : ", or free sizes such as \"H\" or \"8H\""));
    }
    sizes.push_back(*size);
  }
  return sizes;
}

/// The shape with default sizes, checked for being of a size that can be computed with.
std::vector<std::int64_t> default_shape(const Fields& fields, const std::vector<Size>& sizes,
                                        const std::map<std::string, std::int64_t>& defaults) {
  for (const Size& size : sizes) {
    if (!size.name.empty() && !defaults.contains(size.name))
      fields.fail("shape", "has the free size " + size.name + ", for which sample.default gives no number");
  }
  std::vector<std::int64_t> shape = shape_at(sizes, defaults);
  std::int64_t values = 1;
  for (const std::int64_t size : shape) {
    if (size > most_values / values) fields.fail("shape", "must not have more than 2^31 values");
    values *= size;
  }
  return shape;
}

/// How many sizes a sample has.
std::size_t read_modality(const Fields& fields, std::int64_t format, DataSpace& data) {
  std::vector<Modality> known{Modality::image, Modality::audio, Modality::video};
  if (format > 1) known.push_back(Modality::music);
  Names names;
  for (const Modality modality : known) names.emplace_back(name_of(modality));
  const auto found = std::find(names.begin(), names.end(), fields.one_of("modality", names));
  data.modality = known[static_cast<std::size_t>(found - names.begin())];
  return data.modality == Modality::audio ? 2 : data.modality == Modality::video ? 4 : 3;
}

/// Of music, how notes are read from the values.
void read_roll(const Fields& fields, DataSpace& data) {
  if (data.modality != Modality::music) return;
  if (data.shape[0] != 4 || data.shape[1] > 128 || data.shape[2] % sixteenths_a_bar != 0)
    fields.fail("shape", "of music must be [4, pitches, sixteenths]: 1 to 128 pitches, whole bars of 16 sixteenths");
  data.roll.lowest_pitch = static_cast<int>(fields.whole("lowest_pitch", 0, 128 - data.shape[1]));
  data.roll.onset_threshold = data.roll.held_threshold = (data.range_low + data.range_high) / 2;
  if (!fields.has("thresholds")) return;
  const Json& thresholds = fields.at("thresholds");
  const auto within = [&](const Json& t) {
    return t.is_number() && t.get<double>() > data.range_low && t.get<double>() < data.range_high;
  };
  if (!thresholds.is_array() || thresholds.size() != 2 || !within(thresholds[0]) || !within(thresholds[1]))
    fields.fail("thresholds", "must be two numbers within the range: above which a note begins, and sounds");
  data.roll.onset_threshold = thresholds[0].get<double>();
  data.roll.held_threshold = thresholds[1].get<double>();
}

void read_rate_and_range(const Fields& fields, DataSpace& data) {
  data.rate = data.modality == Modality::audio   ? static_cast<double>(fields.whole("sample_rate", 1, most))
              : data.modality == Modality::video ? fields.positive("frame_rate")
              : data.modality == Modality::music ? fields.number("tempo", slowest_tempo, fastest_tempo,
                                                                 "a number of quarter notes a minute in [10, 400]")
                                                 : 0;
  if (!fields.has("range")) return;
  const Json& range = fields.at("range");
  if (!range.is_array() || range.size() != 2 || !range[0].is_number() || !range[1].is_number() ||
      range[0].get<double>() >= range[1].get<double>()) {
    fields.fail("range", "must be two numbers, the lower first");
  }
  data.range_low = range[0].get<double>();
  data.range_high = range[1].get<double>();
}

/// Multiples and defaults of free sizes, and the halo: format 2.
std::map<std::string, std::int64_t> read_free_sizes(const Fields& fields, SampleSpace& space) {
  if (fields.has("halo")) space.halo = fields.whole("halo", 0, most);
  std::map<std::string, std::int64_t> defaults;
  Names free;
  for (const Size& size : space.sizes) {
    if (!size.name.empty()) free.push_back(size.name);
  }
  const std::int64_t multiple = fields.has("multiple") ? fields.whole("multiple", 1, most) : 1;
  if (free.empty()) return defaults;
  const Fields given = fields.object("default", free);
  for (const std::string& name : free) {
    defaults[name] = given.whole(name, 1, most);
    if (defaults[name] % multiple != 0)
      given.fail(name, "must be a multiple of sample.multiple = " + std::to_string(multiple));
    if (multiple > 1) space.multiples[name] = multiple;
  }
  return defaults;
}

/// Where a decoder stands behind the sampler, what is saved is another space than what is sampled.
void read_spaces(const Fields& root, std::int64_t format, ModelInfo& info) {
  const bool apart = format > 1 && root.has("data");
  Names data_names{"modality", "shape", "range", "sample_rate", "frame_rate"};
  if (format > 1) data_names.insert(data_names.end(), {"tempo", "lowest_pitch", "thresholds"});
  Names sample_names = apart ? Names{"shape"} : data_names;
  if (format > 1) sample_names.insert(sample_names.end(), {"multiple", "default", "halo"});
  const Fields sample = root.object("sample", sample_names);
  const FreeSizes free = format > 1 ? FreeSizes::plain : FreeSizes::none;
  if (!apart) {
    const std::size_t dimensions = read_modality(sample, format, info.data);
    info.sample.sizes = read_sizes(sample, "shape", dimensions, free, name_of(info.data.modality));
    const auto defaults = format > 1 ? read_free_sizes(sample, info.sample) : std::map<std::string, std::int64_t>{};
    info.sample.shape = default_shape(sample, info.sample.sizes, defaults);
    info.data.sizes = info.sample.sizes;
    info.data.shape = info.sample.shape;
    read_rate_and_range(sample, info.data);
    read_roll(sample, info.data);
    return;
  }
  info.sample.sizes = read_sizes(sample, "shape", std::nullopt, free, "one sample");
  const auto defaults = read_free_sizes(sample, info.sample);
  info.sample.shape = default_shape(sample, info.sample.sizes, defaults);
  const Fields data = root.object("data", data_names);
  const std::size_t dimensions = read_modality(data, format, info.data);
  info.data.sizes = read_sizes(data, "shape", dimensions, FreeSizes::times, name_of(info.data.modality));
  info.data.shape = default_shape(data, info.data.sizes, defaults);
  read_rate_and_range(data, info.data);
  read_roll(data, info.data);
}

void read_labels(const Fields& fields, ModelInfo& info) {
  info.label_count = fields.whole("count", 1, most);
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

/// A text of `length` of the model's `count` tokens.
std::vector<std::int64_t> read_tokens(const Fields& fields, const std::string& name, std::int64_t length,
                                      std::int64_t count) {
  const Json& tokens = fields.at(name);
  const bool fits = tokens.is_array() && static_cast<std::int64_t>(tokens.size()) == length &&
                    std::all_of(tokens.begin(), tokens.end(), [&](const Json& t) {
                      return t.is_number_integer() && t.get<std::int64_t>() >= 0 && t.get<std::int64_t>() < count;
                    });
  if (!fits) {
    fields.fail(name, "must be " + std::to_string(length) + " token numbers, as shape has it, in [0, " +
                          std::to_string(count - 1) + "], as count has it");
  }
  return tokens.get<std::vector<std::int64_t>>();
}

/// One of `conditions`: format 2.
ConditionInfo read_condition(const Fields& fields, const std::string& kind, ModelInfo& info) {
  ConditionInfo condition;
  condition.name = fields.text("name");
  if (condition.name.empty() || condition.name.size() > 64) fields.fail("name", "must have 1 to 64 characters");
  const auto sizes = [&](std::size_t dimensions, FreeSizes free) {
    condition.sizes = read_sizes(fields, "shape", dimensions, free, kind);
  };
  if (kind == "class") {
    condition.kind = ConditionKind::label;
    if (info.label_count > 0) fields.fail("kind", "must not stand twice: a model has one set of labels");
    read_labels(fields, info);
    if (fields.has("map")) condition.map = fields.truth("map");
    if (condition.map && (info.one_hot_labels || info.sample.sizes.size() != 3))
      fields.fail("map", "is for labels by index of samples [C, H, W]");
  } else if (kind == "scalar") {
    condition.kind = ConditionKind::scalar;
    const Json& range = fields.at("range");
    if (!range.is_array() || range.size() != 2 || !range[0].is_number() || !range[1].is_number() ||
        !(range[0].get<double>() <= range[1].get<double>())) {
      fields.fail("range", "must be two numbers, the lower first");
    }
    condition.low = range[0].get<double>();
    condition.high = range[1].get<double>();
    condition.default_value = fields.number("default", condition.low, condition.high, "a number in its range");
  } else if (kind == "vector") {
    condition.kind = ConditionKind::vector;
    sizes(1, FreeSizes::none);
  } else if (kind == "tokens") {
    condition.kind = ConditionKind::tokens;
    if (find_condition(info, ConditionKind::tokens)) fields.fail("kind", "must not stand twice: a model has one text");
    sizes(2, FreeSizes::none);
    const std::int64_t length = condition.sizes[0].number;
    const std::int64_t count = fields.whole("count", 1, most);
    condition.high = static_cast<double>(count - 1);
    if (fields.has("null")) condition.null_tokens = read_tokens(fields, "null", length, count);
    if (fields.has("pad")) condition.pad = fields.whole("pad", 0, count - 1);
    if (fields.has("mask")) condition.mask = fields.truth("mask");
  } else {
    condition.kind = ConditionKind::image;
    sizes(3, FreeSizes::times);
    for (const Size& size : condition.sizes) {
      if (!size.name.empty() && !default_sizes(info.sample).contains(size.name))
        fields.fail("shape", "has the free size " + size.name + ", which sample.shape has not");
    }
  }
  return condition;
}

void read_conditions(const Fields& root, ModelInfo& info) {
  static const std::map<std::string, Names> kinds{{"class", {"count", "names", "null", "encoding", "map"}},
                                                  {"scalar", {"default", "range"}},
                                                  {"vector", {"shape"}},
                                                  {"tokens", {"shape", "count", "null", "pad", "mask"}},
                                                  {"image", {"shape"}}};
  Names names;
  for (const auto& [name, fields] : kinds) names.push_back(name);
  for (const Fields& any : root.objects("conditions", 16)) {
    const std::string kind = any.one_of("kind", names);
    Names known{"name", "kind"};
    known.insert(known.end(), kinds.at(kind).begin(), kinds.at(kind).end());
    ConditionInfo condition = read_condition(any.only(known), kind, info);
    for (const ConditionInfo& other : info.conditions) {
      if (other.name == condition.name) any.fail("name", "must not stand twice");
    }
    info.conditions.push_back(std::move(condition));
  }
}

/// Format 1 has the labels first, then the guidance scale.
void read_conditions_of_format1(const Fields& root, const Fields& network, ModelInfo& info) {
  if (root.has("labels")) {
    read_labels(root.object("labels", {"count", "names", "encoding", "null"}), info);
    ConditionInfo label;
    label.name = "label";
    label.kind = ConditionKind::label;
    info.conditions.push_back(std::move(label));
  }
  if (!network.has("guidance_input")) return;
  ConditionInfo guidance;
  guidance.name = "guidance";
  guidance.high = 1e6;
  guidance.default_value = network.object("guidance_input", {"default"})
                               .number("default", guidance.low, guidance.high, "a number of 0 or more");
  info.conditions.push_back(std::move(guidance));
}

/// A file beside the JSON, whose name leads nowhere else.
void read_components(const Fields& root, ModelInfo& info) {
  const Fields fields = root.object("components", {"denoiser", "decoder", "text_encoder"});
  for (const std::string name : {"denoiser", "decoder", "text_encoder"}) {
    if (!fields.has(name)) continue;
    const std::string file = fields.text(name);
    const bool plain = !file.empty() && file.size() <= 255 && file[0] != '.' &&
                       file.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
    if (!plain) fields.fail(name, "must be the name of a file in the model's folder");
    info.components[name] = file;
  }
  if (!info.components.contains("denoiser")) fields.at("denoiser");
  const bool text = find_condition(info, ConditionKind::tokens);
  if (text && !info.components.contains("text_encoder"))
    root.fail("components", "must name a text_encoder: there is a condition of kind tokens");
  if (!text && info.components.contains("text_encoder"))
    root.fail("components", "has a text_encoder, but no condition is of kind tokens");
  if (root.has("data") != info.components.contains("decoder"))
    root.fail("components", root.has("data") ? "must name a decoder: data is another space than sample"
                                             : "has a decoder, but there is no data that says what it gives");
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

void read_network(const Fields& fields, std::int64_t format, ModelInfo& info) {
  const auto [input, input_row] = fields.kind("noise_input", noise_inputs(), format);
  info.noise_input = input_row->name;
  if (input.has("scale") || info.noise_input == "log_sigma")
    info.noise_scale = input.positive("scale");
  else
    info.noise_scale = 1;
  if (input.has("shift")) info.flow_shift = input.positive("shift");
  if (input.has("noise_scale")) info.flow_noise_scale = input.positive("noise_scale");
  if (info.noise_input == "timestep") read_timesteps(input, info);

  const auto [prediction, prediction_row] = fields.kind("prediction", predictions(), format);
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
  if (fields.has("start")) info.starts_from_unit_noise = fields.one_of("start", {"unit", "level"}) == "unit";
  if (fields.has("clip_denoised")) info.clip_denoised = fields.truth("clip_denoised");
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

constexpr int deepest = 64;

/// The text as JSON, no deeper than what reads it and writes it again bears. Throws Error (model).
Json parse(const std::string& json, const std::string& file) {
  bool deep = false;
  try {
    Json root = Json::parse(json, [&](int depth, Json::parse_event_t, Json&) {
      if (depth > deepest) deep = true;
      return !deep;
    });
    if (!deep) return root;
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::model, file + ": onestep.json is not valid JSON: " + error.what());
  }
  throw Error(ErrorKind::model, file + ": onestep.json nests deeper than " + std::to_string(deepest) + " levels");
}

}  // namespace

ModelInfo parse_metadata(const std::string& json, const std::string& file) {
  const Json root = parse(json, file);
  const std::int64_t format = Fields(root, "", file, Fields::names_in(root)).whole("format", 1, most);
  if (format > 2) {
    throw Error(ErrorKind::model, file + ": onestep.json: format = " + std::to_string(format) +
                                      ", but this version reads formats up to 2; use a newer onestep");
  }
  Names known{"format", "name", "license", "role", "sample", "network", "noise", "sampling", "card"};
  if (format == 1)
    known.insert(known.end(), {"labels"});
  else
    known.insert(known.end(), {"components", "data", "conditions"});
  const Fields fields(root, "", file, known);
  ModelInfo info;
  info.name = fields.text("name");
  if (fields.has("license")) info.license = fields.text("license");
  const std::string role = fields.one_of("role", {"consistency", "diffusion", "flow_map"});
  info.role = role == "consistency" ? Role::consistency : role == "diffusion" ? Role::diffusion : Role::flow_map;
  read_spaces(fields, format, info);
  Names network_names{"noise_input", "prediction"};
  if (format == 1) network_names.emplace_back("guidance_input");
  const Fields network = fields.object("network", network_names);
  if (format == 1)
    read_conditions_of_format1(fields, network, info);
  else if (fields.has("conditions"))
    read_conditions(fields, info);
  read_network(network, format, info);
  if (fields.has("components")) read_components(fields, info);
  if (fields.has("data") && !fields.has("components")) fields.fail("data", "needs components with a decoder");

  const Fields noise = fields.object("noise", {"sigma_min", "sigma_max", "rho"});
  info.sigma_min = noise.positive("sigma_min");
  info.sigma_max = noise.positive("sigma_max");
  if (info.sigma_max <= info.sigma_min) noise.fail("sigma_max", "must be above sigma_min");
  if (format == 1 || noise.has("rho")) info.rho = noise.positive("rho");
  require_within_timesteps(noise, info);
  if (info.boundary_sigma > info.sigma_min) noise.fail("sigma_min", "must not be below prediction.boundary_sigma");

  if (fields.has("sampling")) {
    Names names{"levels", "renoise", "clip_denoised"};
    if (format > 1) names.emplace_back("start");
    const Fields sampling = fields.object("sampling", names);
    read_sampling(sampling, file, info);
    if (info.clip_denoised && fields.has("data"))
      sampling.fail("clip_denoised", "must be false: samples are what the decoder takes, which has no range");
  }
  if (fields.has("card")) {
    if (!root["card"].is_object()) fields.fail("card", "must be an object");
    info.card = root["card"].dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return info;
}

}  // namespace onestep
