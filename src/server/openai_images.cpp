#include "openai_images.hpp"

#include <algorithm>
#include <atomic>

#include "bounded_json.hpp"
#include "grammar.hpp"
#include "onestep/request_json.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

/// Clients name OpenAI's models where they are not told otherwise.
const ServedModel& model_for(const ServedModels& models, const std::string& name) {
  const bool is_theirs = name.empty() || name.starts_with("dall-e") || name.starts_with("gpt-image");
  return is_theirs && !models.find(name) ? models.first() : models.named(name);
}

FileKind kind_for(const std::string& format) {
  for (const char* known : {"png", "jpeg", "webp"}) {
    if (format == known) return file_kind_of("image/" + format);
  }
  throw Refusal{422, "output_format = " + shown(format) + " must be png, jpeg or webp"};
}

}  // namespace

void answer_openai_images(const http::Request& request, http::Response& response, const ServedModels& models,
                          const ServerOptions& options, Drawing& drawing, Planes& planes) {
  Json body = parse_request(request.body);
  const std::string format = take_text(body, "response_format").value_or("b64_json");
  if (format != "b64_json")
    throw Refusal{422, "response_format = " + shown(format) + " must be b64_json: no files are kept here"};
  const std::string prompt = take_text(body, "prompt").value_or("");
  const ServedModel& served = model_for(models, take_text(body, "model").value_or(""));
  const std::int64_t count = take_whole(body, "n", 1, 10).value_or(1);
  const std::string size = take_text(body, "size").value_or("auto");
  const FileKind kind = kind_for(take_text(body, "output_format").value_or("png"));
  for (const char* ignored : {"quality", "style", "user", "background", "moderation", "output_compression"})
    body.erase(ignored);
  if (!body.empty()) throw Refusal{422, shown(body.begin().key()) + " is an unknown field"};
  const ModelInfo& info = served.generator.info();
  if (info.data.modality != Modality::image)
    throw Refusal{422, "model " + info.name + " makes " + name_of(info.data.modality) + ", not pictures"};

  Drawing::Prepared prepared{&served, {}};
  static std::atomic<std::uint64_t> next_seed{
      static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count())};
  for (std::int64_t i = 0; i < count; ++i) prepared.request.seeds.push_back(next_seed++);
  if (!prompt.empty()) prepared.request.labels = {find_label(prompt, info)};
  Json data = Json::array();
  const auto add = [&](const Sample& sample) {
    const SaveOptions save{.texts = texts_of({sample}, served, prepared.request)};
    data.push_back({{"b64_json", base64(encode(kind, info, {sample}, save))}});
  };
  if (size == "auto") {
    for (const Sample& sample : drawing.samples_of(Drawing::planned(prepared))) add(sample);
  } else {
    const auto [width, height] = parse_extent(size, "size");
    if (width * height > options.pixels)
      throw Refusal{422, "size " + size + ": a picture has at most " + std::to_string(options.pixels) + " pixels here",
                    "pixels"};
    for (const std::uint64_t seed : prepared.request.seeds) {
      Request one = prepared.request;
      one.seeds = {seed};
      add(planes.drawn(Canvas(served.generator, one), seed, {0, 0, width, height}));
    }
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t created = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  response.set_content(json_text({{"created", created}, {"data", std::move(data)}}), "application/json");
}

}  // namespace onestep
