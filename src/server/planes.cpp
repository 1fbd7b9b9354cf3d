#include "planes.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <limits>

#include "bounded_json.hpp"
#include "canvas_output.hpp"
#include "onestep/request_json.hpp"
#include "terminal.hpp"
#include "wire.hpp"

namespace onestep {
namespace {

constexpr std::int64_t tile_side = 256;
constexpr std::int64_t lowest = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t highest = std::numeric_limits<std::int32_t>::max();

/// {"labels": rows of names or numbers, "place": [x, y, width, height]}; without a place it is spread over `all`.
LabelMap label_map_of(Json map, const Rectangle& all, const ModelInfo& info) {
  if (!map.is_object()) refuse_field("label_map", map, "an object of labels and place");
  LabelMap found{.labels = {}, .place = all};
  if (const auto place = take_wholes(map, "place", 4, lowest, highest))
    found.place = {(*place)[0], (*place)[1], (*place)[2], (*place)[3]};
  const Json rows = take(map, "labels").value_or(Json());
  if (!map.empty()) throw Refusal{422, "label_map: " + shown(map.begin().key()) + " is an unknown field"};
  if (!rows.is_array() || rows.empty() || !rows[0].is_array() || rows[0].empty())
    refuse_field("label_map.labels", rows, "an array of rows of labels");
  found.width = static_cast<std::int64_t>(rows[0].size());
  found.height = static_cast<std::int64_t>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string name = "label_map.labels[" + std::to_string(i) + "]";
    if (!rows[i].is_array() || rows[i].size() != rows[0].size())
      refuse_field(name, rows[i], "a row of " + std::to_string(found.width) + " labels");
    for (std::size_t j = 0; j < rows[i].size(); ++j) {
      const Json& label = rows[i][j];
      if (!label.is_string() && !label.is_number_unsigned())
        refuse_field(name + "[" + std::to_string(j) + "]", label, "the name or the number of a label");
      found.labels.push_back(find_label(label.is_string() ? label.get<std::string>() : label.dump(), info));
    }
  }
  return found;
}

Json to_json(const LabelMap& map) {
  const Rectangle& place = map.place;
  Json rows = Json::array();
  for (auto row = map.labels.begin(); row != map.labels.end(); row += map.width)
    rows.push_back(std::vector<std::int64_t>(row, row + map.width));
  return {{"labels", std::move(rows)}, {"place", {place.x, place.y, place.width, place.height}}};
}

std::string command_of(const ServedModel& served, const Request& request, const CanvasOptions& options,
                       const Rectangle& all, std::optional<std::int64_t> label) {
  const std::string of_sample = command_of(request, served.generator.info(), request.seeds.front(), label);
  std::string command = of_sample.substr(0, of_sample.rfind(" -o "));
  command += " --size " + std::to_string(all.width) + "x" + std::to_string(all.height);
  command += " --at " + std::to_string(all.x) + "," + std::to_string(all.y);
  if (options.period_width > 0) command += " --seamless";
  if (options.label_map) {
    const Rectangle& place = options.label_map->place;
    command += " --label-map map.png --label-map-place " + std::to_string(place.x) + "," + std::to_string(place.y) +
               "," + std::to_string(place.width) + "x" + std::to_string(place.height);
  }
  return command + of_sample.substr(of_sample.rfind(" -o "));
}

void answer_picture(http::Response& response, const Sample& sample, const std::string& media_type,
                    const ModelInfo& info, const SaveOptions& save = {}) {
  if (sample.label) response.set_header("X-Onestep-Label", std::to_string(*sample.label));
  response.set_content(text_of(encode(file_kind_of(media_type), info, {sample}, save)), media_type);
}

/// The mean of scale x scale pixels.
Sample shrunk(const Sample& sample, std::int64_t scale) {
  const std::int64_t channels = sample.shape[0], all = sample.shape[2], side = all / scale;
  Sample small{sample.seed, sample.label, {}, {channels, side, side}};
  small.values.assign(static_cast<std::size_t>(channels * side * side), 0);
  for (std::int64_t row = 0; row < channels * all; ++row) {
    const float* from = sample.values.data() + row * all;
    float* to = small.values.data() + (row / all * side + row % all / scale) * side;
    for (std::int64_t column = 0; column < all; ++column)
      to[column / scale] += from[column] / static_cast<float>(scale * scale);
  }
  return small;
}

/// A part of a tile's address.
template <typename Whole>
Whole whole(const std::string& name, const std::string& text, Whole low, Whole high) {
  Whole value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high)
    throw Refusal{422, name + " = " + shown(text) + " must be a whole number in [" + std::to_string(low) + ", " +
                           std::to_string(high) + "]"};
  return value;
}

}  // namespace

Sample Planes::drawn(const Canvas& plane, std::uint64_t seed, const Rectangle& rectangle) {
  Region region;
  turns_.take([&](const OnProgress& on_progress, std::stop_token stop) {
    region = plane.region(rectangle, on_progress, std::move(stop));
    return !region.stopped;
  });
  return {seed, plane.report().label, std::move(region.values), region.shape};
}

void Planes::part(const http::Request& request, http::Response& response) {
  Json body = parse_request(request.body);
  const ServedModel& served = models_.take(body);
  const ModelInfo& info = served.generator.info();
  const auto size = take_wholes(body, "size", 2, 1, highest);
  const auto at = take_wholes(body, "at", 2, lowest, highest).value_or(std::vector<std::int64_t>{0, 0});
  if (!size) throw Refusal{422, "size is missing: [width, height] in pixels"};
  const Rectangle all{at[0], at[1], (*size)[0], (*size)[1]};
  if (all.width * all.height > options_.pixels)
    throw Refusal{422,
                  std::to_string(all.width) + " x " + std::to_string(all.height) + " pixels: a picture has at most " +
                      std::to_string(options_.pixels) + " here; `onestep generate` draws larger ones",
                  "pixels"};
  CanvasOptions options;
  const bool seamless = take_flag(body, "seamless");
  if (seamless) {
    options.period_width = all.width;
    options.period_height = all.height;
  }
  if (std::optional<Json> map = take(body, "label_map")) options.label_map = label_map_of(std::move(*map), all, info);
  for (const auto& [one, several] : {std::pair("label", "labels"), std::pair("seed", "seeds")}) {
    if (body.contains(several)) throw Refusal{422, std::string(several) + ": a plane has one " + one};
    if (const std::optional<Json> value = take(body, one)) body[several] = Json::array({*value});
  }
  if (!body.contains("seeds")) body["seeds"] = {0};
  const Request asked = request_of_json(body.dump(-1, ' ', false, Json::error_handler_t::replace), info);

  const std::string kind =
      liked_best(request.get_header_value("Accept"), {"image/png", "image/webp", "image/jpeg"}, "a plane");

  // Small parts are looked at one beside the other; of a large one nothing need be kept.
  const bool small = all.width * all.height <= 1 << 20;
  const std::shared_ptr<const Canvas> plane =
      small ? kept(served, asked, options) : std::make_shared<const Canvas>(served.generator, asked, options);
  const Sample sample = drawn(*plane, asked.seeds.front(), all);
  const std::string command = command_of(served, asked, options, all, sample.label);
  CanvasOutput output;
  output.report = plane->report();
  output.rectangle = all;
  Json facts = facts_of(output, seamless);
  if (options.label_map) facts["label_map"] = to_json(*options.label_map);
  SaveOptions save{.texts = texts_of({sample}, served, asked, {{"canvas", std::move(facts)}})};
  save.texts.emplace_back("onestep command", command);
  response.set_header("X-Onestep-Command", command);
  answer_picture(response, sample, kind, info, save);
}

std::shared_ptr<const Canvas> Planes::kept(const ServedModel& served, const Request& request,
                                           const CanvasOptions& options) {
  const ModelInfo& info = served.generator.info();
  const std::string key = json_text({info.name, onestep::to_json(request, info), options.period_width,
                                     options.period_height, options.label_map ? to_json(*options.label_map) : Json()});
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(canvases_.begin(), canvases_.end(), [&](const auto& one) { return one.first == key; });
  if (found != canvases_.end()) {
    canvases_.splice(canvases_.begin(), canvases_, found);
    return canvases_.front().second;
  }
  constexpr std::size_t most_canvases = 8, bytes = std::size_t{64} << 20;
  CanvasOptions bounded = options;
  bounded.cache_bytes = bytes;
  canvases_.emplace_front(key, std::make_shared<const Canvas>(served.generator, request, bounded));
  if (canvases_.size() > most_canvases) canvases_.pop_back();
  return canvases_.front().second;
}

void Planes::tile(const http::Request& request, http::Response& response) {
  const ServedModel& served = models_.named(request.matches[1]);
  const ModelInfo& info = served.generator.info();
  const auto seed = whole<std::uint64_t>("seed", request.matches[2], 0, std::numeric_limits<std::uint64_t>::max());
  const std::string label = request.matches[3];
  const auto z = whole<std::int64_t>("z", request.matches[4], -2, 0);  // 0: a pixel is a pixel
  const std::int64_t scale = std::int64_t{1} << -z, all = tile_side * scale;
  const auto x = whole<std::int64_t>("x", request.matches[5], lowest / all, highest / all);
  const auto y = whole<std::int64_t>("y", request.matches[6], lowest / all, highest / all);
  const int steps = request.has_param("steps") ? whole("steps", request.get_param_value("steps"), 1, 8) : 1;
  Request asked;
  asked.seeds = {seed};
  if (label != "-") asked.labels = {find_label(label, info)};
  asked.sampler = make_sampler_for(info, "", {.steps = steps}, {});

  const std::string tag = "\"" + served.provenance.model_sha256().substr(0, 16) + "-" + ONESTEP_VERSION + "-" +
                          std::to_string(std::hash<std::string>{}(request.target)) + "\"";
  response.set_header("ETag", tag);
  response.set_header("Cache-Control",
                      std::string(options_.token.empty() ? "public" : "private") + ", max-age=31536000, immutable");
  if (request.get_header_value("If-None-Match") == tag) {
    response.status = 304;
    return;
  }
  const Sample sample = drawn(*kept(served, asked, {}), seed, {x * all, y * all, all, all});
  answer_picture(response, shrunk(sample, scale), "image/png", info);
}

}  // namespace onestep
