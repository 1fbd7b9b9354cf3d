#include "drawing.hpp"

#include <map>

#include "bounded_json.hpp"
#include "edit_tasks.hpp"
#include "onestep/interpolate.hpp"
#include "onestep/request_json.hpp"
#include "picture_file.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

Json report_of(const Report& plan, const Job& job) {
  return {{"sampler", plan.sampler},
          {"levels", plan.levels},
          {"nfe", plan.nfe},
          {"seconds", job.seconds()},
          {"shape", plan.shape}};
}

/// A sample that was drawn, as JSON.
Json json_of(const Sample& sample, const Drawing::Prepared& prepared) {
  const ModelInfo& info = prepared.model->generator.info();
  return sample_json(sample, *prepared.model,
                     prepared.is_edit ? "" : command_of(prepared.request, info, sample.seed, sample.label),
                     {.enlarge = prepared.enlarge, .texts = texts_of({sample}, *prepared.model, prepared.request)});
}

}  // namespace

void Drawing::generate(const http::Request& request, http::Response& response) {
  answer(planned(read(parse_request(request.body))), request, response);
}

void Drawing::edit(const http::Request& request, http::Response& response) {
  answer(planned(read_edit(parse_request(request.body))), request, response);
}

Drawing::Prepared Drawing::read(Json body) const {
  Prepared prepared{&models_.take(body), {}};
  prepared.columns = static_cast<int>(take_whole(body, "columns", 0, 1000).value_or(0));
  prepared.enlarge = static_cast<int>(take_whole(body, "enlarge", 1, 64).value_or(1));
  prepared.previews = take_flag(body, "previews");
  if (!body.contains("seeds") && !body.contains("count")) body["count"] = 1;
  const ModelInfo& info = prepared.model->generator.info();
  prepared.request = request_of_json(body.dump(-1, ' ', false, Json::error_handler_t::replace), info);
  const auto count = static_cast<std::int64_t>(prepared.request.seeds.size());
  if (count > options_.count)
    throw Refusal{422, std::to_string(count) + " samples: a request has at most " + std::to_string(options_.count),
                  "count"};
  if (prepared.previews && count != 1)
    throw Refusal{422, "previews are of one sample, not of " + std::to_string(count)};
  return prepared;
}

Drawing::Prepared Drawing::planned(Prepared prepared) {
  prepared.plan = prepared.model->generator.plan(prepared.request);
  double values = static_cast<double>(prepared.request.seeds.size()) * prepared.enlarge * prepared.enlarge;
  for (const std::int64_t size : prepared.plan.shape) values *= static_cast<double>(size);
  if (values > 1 << 28)
    throw Refusal{422, "the samples have more than 2^28 values in all; ask for fewer, or for smaller ones", "pixels"};
  return prepared;
}

Drawing::Prepared Drawing::read_edit(Json body) const {
  const std::string name = take_text(body, "task").value_or("");
  const std::string fit = take_text(body, "fit").value_or("crop");
  const std::map<std::string, Fit> fits{{"crop", Fit::crop}, {"pad", Fit::pad}, {"stretch", Fit::stretch}};
  if (!fits.contains(fit)) throw Refusal{422, "fit = " + shown(fit) + " must be crop, pad or stretch"};
  EditInput input{.fit = InputFit(fits.at(fit))};
  const auto picture_of = [&](const char* field) -> std::optional<PictureValues> {
    const std::optional<std::string> text = take_text(body, field);
    if (!text) return {};
    return decode_picture(from_base64(*text, field), field);
  };
  const std::optional<PictureValues> picture = picture_of("picture");
  input.mask = picture_of("mask");
  input.factor = static_cast<int>(take_whole(body, "factor", 2, 64).value_or(2));
  const std::optional<double> sigma = take_number(body, "sigma", 0, 1e6);
  const std::optional<std::int64_t> from = take_whole(body, "from_seed", 0, std::int64_t{1} << 62);
  const std::optional<std::int64_t> to = take_whole(body, "to_seed", 0, std::int64_t{1} << 62);
  const auto frames = static_cast<int>(take_whole(body, "frames", 2, 64).value_or(8));
  if (body.contains("sampler"))
    throw Refusal{422, "sampler: an edit has the sampler consistency; give steps or levels"};

  // The request's own fields say what is drawn; the sampler's levels are the edit's.
  Prepared prepared = read(std::move(body));
  prepared.is_edit = true;
  Request& request = prepared.request;
  const ModelInfo& info = prepared.model->generator.info();
  if (info.data.modality != Modality::image || info.role != Role::consistency)
    throw Refusal{422, info.name + " can't edit; a consistency model of pictures can"};
  Levels given = parts_of(request.sampler).levels;
  if (name == "interpolate") {
    if (!from || !to) throw Refusal{422, "interpolate needs from_seed and to_seed"};
    request.sampler = ConsistencySampler{.levels = given};
    request.seeds.assign(1, static_cast<std::uint64_t>(*from));
    const int draws = static_cast<int>(prepared.model->generator.plan(request).levels.size());
    request.noise = interpolate_seeds(info, request.seeds.front(), static_cast<std::uint64_t>(*to), frames, draws);
    request.seeds.assign(static_cast<std::size_t>(frames), request.seeds.front());
    return prepared;
  }
  for (const EditTask& task : edit_tasks()) {
    if (name != task.name) continue;
    if (!picture) throw Refusal{422, name + " needs a picture: a PNG or a JPEG in base64"};
    if (name == "denoise" && !sigma)
      throw Refusal{422, "denoise needs sigma, the deviation of the noise in the picture"};
    input.given = *picture;
    if (sigma) given = {.values = {*sigma}};
    request.sampler = ConsistencySampler{.levels = levels_of_edit(task, given, info)};
    request.edit = task.prepare(input, info).edit;
    return prepared;
  }
  std::string names;
  for (const EditTask& task : edit_tasks()) names += std::string(task.name) + ", ";
  throw Refusal{422, "task = " + shown(name) + " is unknown; there are " + names + "interpolate"};
}

std::vector<Sample> Drawing::samples_of(const Prepared& prepared, Json* report) {
  const auto job = compute_.draw(prepared.model->generator, prepared.request, prepared.plan, false);
  Watch watch(options_.seconds);
  std::vector<Sample> samples;
  while (std::optional<Job::Event> event = job->next(patience, [&] { return watch.go_on(); })) {
    if (event->sample) samples.push_back(std::move(*event->sample));
  }
  watch.require_in_time();
  if (!job->finished()) throw Refusal{503, "the server is ending, or the client is gone", "", 5};
  if (report) *report = report_of(prepared.plan, *job);
  return samples;
}

void Drawing::answer(Prepared prepared, const http::Request& request, http::Response& response) {
  const ModelInfo& info = prepared.model->generator.info();
  const auto count = prepared.request.seeds.size();
  // Whether a file can hold them is found before they are drawn.
  std::vector<std::string> offered = media_types(info, count);
  const bool has_usual = can_hold(usual_kind(info.data.modality), info, count);
  const auto behind = offered.begin() + (has_usual ? 1 : 0);
  offered.insert(behind, {"application/json", "text/event-stream"});
  const std::string kind =
      liked_best(request.get_header_value("Accept"), offered, std::to_string(count) + " of " + info.name);
  if (kind == "text/event-stream") return stream(std::move(prepared), response);
  Json report;
  const std::vector<Sample> samples = samples_of(prepared, &report);
  if (kind == "application/json") {
    Json list = Json::array();
    for (const Sample& sample : samples) list.push_back(json_of(sample, prepared));
    return response.set_content(json_text({{"samples", std::move(list)}, {"report", std::move(report)}}), kind);
  }
  const SaveOptions save{.columns = prepared.columns,
                         .enlarge = prepared.enlarge,
                         .texts = texts_of(samples, *prepared.model, prepared.request)};
  response.set_content(text_of(encode(file_kind_of(kind), info, samples, save)), kind);
}

/// Server-sent events, as samples are finished.
void Drawing::stream(Prepared prepared, http::Response& response) {
  const auto shared = std::make_shared<Prepared>(std::move(prepared));
  const auto job = compute_.draw(shared->model->generator, shared->request, shared->plan, shared->previews);
  response.set_header("Cache-Control", "no-store");
  response.set_chunked_content_provider(
      "text/event-stream",
      [shared, job, watch = Watch(options_.seconds)](std::size_t, http::DataSink& sink) mutable {
        const auto send = [&](const char* event, const Json& data) {
          const std::string text = std::string("event: ") + event + "\ndata: " + json_text(data) + "\n\n";
          if (!sink.write(text.data(), text.size())) job->stop();
        };
        try {
          while (const std::optional<Job::Event> event = job->next(patience, [&] { return watch.go_on(); })) {
            if (event->sample) send("sample", json_of(*event->sample, *shared));
            if (event->progress && event->preview.empty()) {
              const Progress& progress = *event->progress;
              send("progress", {{"calls_done", progress.calls_done},
                                {"calls", progress.calls},
                                {"samples_done", progress.samples_done},
                                {"samples", progress.samples}});
            } else if (event->progress) {
              const Sample preview{shared->request.seeds.front(), {}, event->preview, shared->plan.shape};
              Json data = sample_json(
                  preview, *shared->model, "",
                  {.enlarge = shared->enlarge, .texts = texts_of({preview}, *shared->model, shared->request)});
              data["call"] = event->progress->calls_done;
              data["calls"] = event->progress->calls;
              send("preview", data);
            }
          }
          watch.require_in_time();
          if (!job->finished()) throw Refusal{503, "the server is ending"};
          send("done", report_of(shared->plan, *job));
        } catch (...) {
          send("error", to_json(refusal_of(std::current_exception())));
        }
        sink.done();
        return true;
      },
      [job](bool) { job->stop(); });
}

}  // namespace onestep
