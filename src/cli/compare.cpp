#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "arguments.hpp"
#include "canvas_output.hpp"
#include "commands.hpp"
#include "comparison_sheet.hpp"
#include "onestep/canvas.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "output_file.hpp"
#include "picture_file.hpp"
#include "roll.hpp"
#include "seconds_since.hpp"
#include "sound_picture.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::vector<std::string> runs;
  std::string output, seeds, size;
  std::optional<std::int64_t> count;
  std::vector<std::string> labels;
  MachineArguments machine;
  bool json = false, quiet = false;
};

/// A row of the comparison: MODEL[:SAMPLER[:STEPS]].
struct Run {
  std::string text, model;
  SamplerArguments sampler;
  Result result;
  double seconds = 0;   // an image
  double distance = 0;  // to the last row's samples
};

std::vector<std::string> sampler_names() {
  std::vector<std::string> names;
  for (const SamplerDescription& sampler : samplers()) names.push_back(sampler.name);
  return names;
}

/// A file that is there is a model, whatever its name. Of any other text the last parts are a sampler and its steps
/// where they can be, for paths have colons as well.
Run parse_run(const std::string& text) {
  Run run;
  run.text = run.model = text;
  if (std::filesystem::exists(text) || text.find(':') == std::string::npos) return run;
  const auto last_part = [&] {
    const std::size_t colon = run.model.rfind(':');
    return colon == std::string::npos ? "" : run.model.substr(colon + 1);
  };
  const auto drop_last_part = [&] { run.model.resize(run.model.rfind(':')); };
  int steps = 0;
  if (CLI::detail::lexical_cast(last_part(), steps)) {
    run.sampler.levels.steps = steps;
    drop_last_part();
  }
  const auto known = sampler_names();
  if (std::find(known.begin(), known.end(), last_part()) == known.end()) {
    throw Error(ErrorKind::usage, text +
                                      ": is no file, and no MODEL:SAMPLER or MODEL:SAMPLER:STEPS, such as "
                                      "fashion:consistency:2; the samplers are " +
                                      CLI::detail::join(known, ", "));
  }
  run.sampler.name = last_part();
  drop_last_part();
  return run;
}

/// The rows asked for. A consistency model alone is compared with its teacher, the shipped model NAME-teacher.
std::vector<std::string> choose_runs(const std::vector<std::string>& given) {
  if (given.size() > 1) return given;
  const std::string& model = given.front();
  const auto shipped = shipped_models();
  const auto teacher =
      std::find_if(shipped.begin(), shipped.end(), [&](const auto& m) { return m.first == model + "-teacher"; });
  if (teacher == shipped.end()) {
    throw Error(ErrorKind::usage, "there is no model " + model + "-teacher to compare " + model +
                                      " with; give two runs or more, such as " + model + " OTHER:heun:18");
  }
  return {model, model + ":consistency:2", teacher->first + ":heun:5", teacher->first + ":heun:18",
          teacher->first + ":heun:40"};
}

double distance(const std::vector<Sample>& a, const std::vector<Sample>& b) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].values.size(); ++j) {
      sum += std::pow(a[i].values[j] - b[i].values[j], 2);
      ++count;
    }
  }
  return std::sqrt(sum / count);
}

/// What a sample looks like; of a clip its frames, of a sound its waveform and spectrum, of music its notes.
Picture tile_of(const Sample& sample, const ModelInfo& info) {
  const DataSpace& data = info.data;
  if (data.modality == Modality::audio) {
    return picture_of_sound(sample.values, sample.shape, data.range_low, data.range_high, data.rate,
                            sample.label ? label_text(*sample.label, info) : "");
  }
  if (data.modality == Modality::image) return to_picture(sample.values, sample.shape, data.range_low, data.range_high);
  if (data.modality == Modality::video)
    return grid(to_frames(sample.values, sample.shape, data.range_low, data.range_high), 4, 0);
  const std::vector<Note> notes =
      notes_of_roll(sample.values, sample.shape, data.range_low, data.range_high, data.roll);
  return picture_of_notes(notes, sample.shape[1], sample.shape[2], data.roll.lowest_pitch);
}

std::string calls(std::int64_t nfe) { return std::to_string(nfe) + (nfe == 1 ? " call" : " calls"); }

/// What suits the model, in few calls: the first calls of a network compile it, and are not timed.
Sampler warm_up_sampler(const ModelInfo& info) {
  if (info.role == Role::consistency) return ConsistencySampler{};
  return EulerSampler{.levels = {.steps = 3}};
}

/// The best of a few times, as other programs disturb.
void draw_samples(Run& run, const Generator& generator, const Request& request, const OnProgress& on_progress,
                  const std::stop_token& stop) {
  Request warm_up = request;
  warm_up.sampler = warm_up_sampler(generator.info());
  generator.generate(warm_up, on_progress, stop);
  double best = std::numeric_limits<double>::infinity();
  for (double spent = 0; spent < 0.5 && !stop.stop_requested();) {
    run.result = generator.generate(request, on_progress, stop);
    best = std::min(best, run.result.report.seconds);
    spent += run.result.report.seconds;
  }
  run.seconds = best / static_cast<double>(request.seeds.size());
}

/// Seamless pictures, once: every sampler runs on a plane that begins anew.
void draw_planes(Run& run, const Generator& generator, const Request& request,
                 const std::pair<std::int64_t, std::int64_t>& size, const OnProgress& on_progress,
                 const std::stop_token& stop) {
  const auto [width, height] = size;
  const auto canvas_of = [&, width = width, height = height](std::size_t i, const Sampler& sampler) {
    Request one = request;
    one.sampler = sampler;
    one.seeds = {request.seeds[i]};
    if (!request.labels.empty()) one.labels = {request.labels[i % request.labels.size()]};
    return Canvas(generator, one, {.period_width = width, .period_height = height});
  };
  canvas_of(0, warm_up_sampler(generator.info())).region({0, 0, 1, 1}, on_progress, stop);
  for (std::size_t i = 0; i < request.seeds.size() && !stop.stop_requested(); ++i) {
    const Canvas canvas = canvas_of(i, request.sampler);
    const auto started = std::chrono::steady_clock::now();
    Region region = canvas.region({0, 0, width, height}, on_progress, stop);
    run.seconds += seconds_since(started) / static_cast<double>(request.seeds.size());
    const CanvasReport& report = canvas.report();
    run.result.samples.push_back({request.seeds[i], report.label, std::move(region.values), region.shape});
    run.result.report.sampler = report.sampler;
    run.result.report.levels = report.levels;
    run.result.report.nfe = report.nfe;
  }
}

void run(const Arguments& arguments) {
  std::vector<Run> runs;
  for (const std::string& text : choose_runs(arguments.runs)) runs.push_back(parse_run(text));

  std::map<std::string, Generator> generators;
  for (const Run& run : runs) {
    if (!generators.contains(run.model))
      generators.emplace(run.model, arguments.machine.load(run.model, arguments.quiet));
  }
  const ModelInfo& first = generators.at(runs.front().model).info();
  std::optional<std::pair<std::int64_t, std::int64_t>> size;
  if (!arguments.size.empty()) {
    require_pictures(first);
    size = parse_extent(arguments.size, "--size");
  }
  const auto seeds = choose_seeds(arguments.seeds, arguments.count, size ? 3 : 10);
  if (seeds.size() > 1000) {
    throw Error(ErrorKind::usage, std::to_string(seeds.size()) + " columns: a comparison has at most 1000");
  }
  std::vector<std::int64_t> labels;
  for (const std::string& label : arguments.labels) labels.push_back(find_label(label, first));
  // Every label in turn: the columns then show all the model can draw.
  for (std::int64_t i = 0; labels.size() < seeds.size() && arguments.labels.empty() && i < first.label_count; ++i) {
    labels.push_back(i);
  }

  std::vector<Request> requests;
  for (Run& run : runs) {
    const Generator& generator = generators.at(run.model);
    const ModelInfo& info = generator.info();
    if (info.data.shape != first.data.shape || info.label_count != first.label_count) {
      throw Error(ErrorKind::usage, info.name + " draws samples of another shape or other labels than " + first.name +
                                        "; only models of the same data can be compared");
    }
    Request request;
    request.seeds = seeds;
    request.labels = labels;
    run.sampler.apply_to(request, info);
    request.batch = static_cast<std::int64_t>(seeds.size());
    if (!size) generator.plan(request);
    requests.push_back(std::move(request));
  }
  if (!arguments.output.empty()) {
    require_savable(arguments.output, first, 1);
    if (file_kind(arguments.output, first, 1) != FileKind::png) {
      throw Error(ErrorKind::usage, arguments.output + ": the comparison is a .png");
    }
  }

  Interrupt interrupt;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Generator& generator = generators.at(runs[i].model);
    ProgressBar bar(arguments.quiet);
    const OnProgress on_progress = on_bar(bar, interrupt);
    if (size)
      draw_planes(runs[i], generator, requests[i], *size, on_progress, interrupt.token());
    else
      draw_samples(runs[i], generator, requests[i], on_progress, interrupt.token());
    if (interrupt.token().stop_requested()) throw StoppedByUser{"a comparison is whole or not at all"};
  }

  const std::string unit = first.data.modality == Modality::image ? "image" : "sample";
  std::vector<std::vector<std::string>> table{{"run", "calls", "ms/" + unit, "speed-up", "distance"}};
  std::vector<SheetRow> rows;
  Json json = Json::array();
  for (Run& run : runs) {
    const Report& report = run.result.report;
    run.distance = distance(run.result.samples, runs.back().result.samples);
    const double speed_up = runs.back().seconds / run.seconds;
    const Generator& generator = generators.at(run.model);
    const std::string name = generator.info().name;
    table.push_back({run.text, std::to_string(report.nfe), fixed(run.seconds * 1e3, 2), fixed(speed_up, 1) + " x",
                     fixed(run.distance, 3)});
    json.push_back({{"run", run.text},
                    {"model", name},
                    {"precision", name_of(generator.precision().precision)},
                    {"sampler", report.sampler},
                    {"levels", report.levels},
                    {"nfe", report.nfe},
                    {"seconds_per_image", run.seconds},
                    {"speed_up", speed_up},
                    {"distance", run.distance}});
    SheetRow row{{name, report.sampler + ", " + calls(report.nfe), fixed(run.seconds * 1e3, 2) + " ms/" + unit}, {}};
    for (const Sample& sample : run.result.samples) {
      if (arguments.output.empty()) break;
      row.tiles.push_back(tile_of(sample, first));
    }
    rows.push_back(std::move(row));
  }
  if (!arguments.output.empty()) {
    write_file(arguments.output,
               encode_png(comparison_sheet("The same " + std::to_string(seeds.size()) + " seeds", rows),
                          {{"Software", "onestep " ONESTEP_VERSION}, {"onestep", json_text(json)}}));
  }
  if (arguments.json) {
    print_json({{"seeds", seeds},
                {"labels", labels},
                {"device", arguments.machine.device},
                {"runs", json},
                {"file", arguments.output}});
  } else {
    print_table(table);
    print_line("distance: root of the mean squared difference to the last row, in a range of " +
               fixed(first.data.range_high - first.data.range_low, 0) + "; times " +
               (size ? "of one seamless picture of " + arguments.size : "at batch " + std::to_string(seeds.size())));
  }
}

}  // namespace

void add_compare(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "compare", "Draw the same seeds with several samplers or models, side by side, with the times");
  command
      ->add_option("runs", arguments->runs,
                   "MODEL, MODEL:SAMPLER or MODEL:SAMPLER:STEPS, the reference last; a consistency model alone is "
                   "compared with the shipped MODEL-teacher")
      ->required()
      ->type_name("RUN ...");
  command->add_option("-o,--output", arguments->output, "a .png for the labelled picture (default: the table alone)");
  command->add_option("-n,--count", arguments->count, "columns, 1 to 1000 (default: 10; with --size 3)");
  command->add_option("--size", arguments->size,
                      "WIDTHxHEIGHT of seamless pictures to compare, such as 512x512 (default: samples)");
  command->add_option("--seeds", arguments->seeds, "seeds, such as 0-9 (default: 0 to count-1)");
  command->add_option("--label", arguments->labels,
                      "label by name or index; given several times, each in turn (default: every label in turn)");
  command->add_flag("--json", arguments->json, "the table on standard output, as JSON");
  command->add_flag("--quiet", arguments->quiet, "no progress bar");
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep compare fashion -o compare.png\n"
      "  onestep compare fashion:consistency:1 fashion:consistency:4 fashion-teacher:heun:18 --label Bag -o bags.png");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
