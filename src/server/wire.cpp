#include "wire.hpp"

#include <algorithm>
#include <map>

#include "onestep/canvas.hpp"
#include "onestep/request_json.hpp"
#include "roll.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

struct MediaType {
  const char* name;
  FileKind kind;
};
constexpr MediaType all_media_types[] = {
    {"image/png", FileKind::png},   {"image/webp", FileKind::webp},       {"image/jpeg", FileKind::jpeg},
    {"image/apng", FileKind::apng}, {"image/gif", FileKind::gif},         {"audio/midi", FileKind::midi},
    {"audio/wav", FileKind::wav},   {"application/x-npz", FileKind::npz}, {"application/x-npy", FileKind::npy}};

}  // namespace

std::string sampler_flags(const Request& request, const ModelInfo& info) {
  std::string flags;
  const SamplerParts sampler = parts_of(request.sampler);
  if (!sampler.name.empty() && sampler.name != parts_of(default_sampler(info)).name)
    flags += " --sampler " + sampler.name;
  if (sampler.levels.steps) flags += " --steps " + std::to_string(*sampler.levels.steps);
  if (!sampler.levels.values.empty()) {
    flags += " --levels ";
    for (std::size_t i = 0; i < sampler.levels.values.size(); ++i)
      flags += (i ? "," : "") + number_text(sampler.levels.values[i]);
  }
  if (!sampler.levels.schedule.empty()) flags += " --schedule " + sampler.levels.schedule;
  for (const auto& [name, value] : sampler.options) {
    std::string flag = name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    flags += " --" + flag + " " + number_text(value);
  }
  if (request.guidance) flags += " --guidance " + number_text(*request.guidance);
  if (request.force) flags += " --force";
  return flags;
}

std::string command_of(const Request& request, const ModelInfo& info, std::uint64_t seed,
                       std::optional<std::int64_t> label) {
  std::string command = "onestep generate " + quoted(info.name) + " --seeds " + std::to_string(seed);
  if (label) command += " --label " + quoted(label_text(*label, info));
  command += sampler_flags(request, info);
  if (info.data.modality == Modality::image && !request.sizes.empty()) {
    std::map<std::string, std::int64_t> sizes = request.sizes;
    sizes.merge(default_sizes(info.sample));
    const std::vector<std::int64_t> shape = shape_at(info.data.sizes, sizes);
    command += " --size " + std::to_string(shape[2]) + "x" + std::to_string(shape[1]);
  }
  return command + " -o " + std::to_string(seed) + extension_of(usual_kind(info.data.modality));
}

std::vector<std::pair<std::string, std::string>> texts_of(const std::vector<Sample>& samples, const ServedModel& model,
                                                          const Request& request, const Json& more) {
  const ModelInfo& info = model.generator.info();
  const Request again = drawn_again(request, samples);
  Json made{{"model", info.name}, {"seeds", again.seeds}, {"labels", labels_of(samples)}};
  if (std::holds_alternative<std::monostate>(request.edit) && request.noise.empty())
    made["request"] = Json::parse(to_json(again, info));
  made.update(more);
  return model.provenance.texts(std::move(made));
}

Json sample_json(const Sample& sample, const ServedModel& model, const std::string& command, const SaveOptions& save) {
  const ModelInfo& info = model.generator.info();
  const DataSpace& data = info.data;
  const FileKind kind = usual_kind(data.modality);
  Json json{{"seed", sample.seed},
            {"label", sample.label ? Json(*sample.label) : Json()},
            {"label_name", sample.label ? Json(label_text(*sample.label, info)) : Json()}};
  json[extension_of(kind).substr(1)] = base64(encode(kind, info, {sample}, save));
  if (data.modality == Modality::music)
    json["notes"] = notes_json(notes_of_roll(sample.values, sample.shape, data.range_low, data.range_high, data.roll));
  if (!command.empty()) json["command"] = command;
  return json;
}

Json notes_json(const std::vector<Note>& notes) {
  Json list = Json::array();
  for (const Note& note : notes) {
    list.push_back({{"part", note.part == Part::voice ? "voice" : "piano"},
                    {"start", note.start},
                    {"length", note.length},
                    {"pitch", note.pitch}});
  }
  return list;
}

std::vector<std::string> media_types(const ModelInfo& info, std::size_t count) {
  std::vector<std::string> names;
  for (const MediaType& type : all_media_types) {
    if (can_hold(type.kind, info, count))
      names.insert(type.kind == usual_kind(info.data.modality) ? names.begin() : names.end(), type.name);
  }
  return names;
}

FileKind file_kind_of(const std::string& media_type) {
  return std::find_if(std::begin(all_media_types), std::end(all_media_types),
                      [&](const MediaType& type) { return type.name == media_type; })
      ->kind;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace onestep
