#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

#include "arguments.hpp"
#include "canvas_output.hpp"
#include "clip_file.hpp"
#include "commands.hpp"
#include "folder_output.hpp"
#include "new_paths.hpp"
#include "npz_output.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "output_file.hpp"
#include "output_target.hpp"
#include "provenance.hpp"
#include "ranks.hpp"
#include "request_part.hpp"
#include "seconds_since.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Arguments {
  std::string model, output, seeds, noise, tokens;
  std::optional<std::int64_t> count;
  std::vector<std::string> labels;
  std::int64_t batch = 64;
  std::vector<int> grid;
  int enlarge = 1;
  CanvasArguments canvas;
  BulkArguments bulk;
  SamplerArguments sampler;
  MachineArguments machine;
  bool bytes = false, frames = false, json = false, quiet = false;
};

void require_memory(std::size_t count, const std::vector<std::int64_t>& shape) {
  double bytes = 2.0 * sizeof(float) * static_cast<double>(count);  // the samples, and once more as they are written
  for (const std::int64_t size : shape) bytes *= static_cast<double>(size);
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  if (bytes <= memory) return;
  throw Error(ErrorKind::memory, std::to_string(count) + " samples in one file take " + fixed(bytes / 1e9, 1) +
                                     " GB of memory, this machine has " + fixed(memory / 1e9, 1) +
                                     "; give a folder with --output, which gets one file a sample");
}

void run_on_canvas(const Arguments& arguments, const Generator& generator, const Request& request,
                   const OutputTarget& target, const ModelHash& hash, double load_seconds) {
  if (!arguments.grid.empty()) throw Error(ErrorKind::usage, "--grid is for samples; a picture with --size goes alone");
  if (arguments.enlarge > 1) throw Error(ErrorKind::usage, "--enlarge is for samples; give a larger --size");
  if (!target.file.empty() && request.seeds.size() > 1) {
    throw Error(ErrorKind::usage, target.file + " holds one picture of that size, not " +
                                      std::to_string(request.seeds.size()) +
                                      "; give a folder, or a pattern such as out/{seed:06d}.png");
  }
  const ModelInfo& info = generator.info();
  NewPaths made_here;
  if (!target.new_folder.empty()) made_here.make_folder(target.new_folder);
  const Provenance provenance(hash);
  const auto file_of = [&](std::uint64_t seed) { return target.file_of(seed); };
  const auto texts = [&](Json facts) { return provenance.texts(std::move(facts)); };
  CanvasOutput drawn = draw_canvases({generator, request, hash, arguments.bulk, arguments.machine.device,
                                      !arguments.machine.as_it_is, arguments.quiet || arguments.json},
                                     arguments.canvas, file_of, texts);
  const std::string where = arguments.canvas.tiles.empty() ? arguments.output : arguments.canvas.tiles;
  const bool speaks = this_rank().index == 0;
  if (arguments.json && speaks) {
    print_json({{"model", info.name},
                {"sampler", drawn.report.sampler},
                {"options", parts_of(request.sampler).options},
                {"levels", drawn.report.levels},
                {"nfe", drawn.report.nfe},
                {"count", drawn.finished},
                {"seeds", std::span(request.seeds).first(static_cast<std::size_t>(drawn.finished))},
                {"labels", info.label_count > 0 ? drawn.labels : Json()},
                {"device", arguments.machine.device},
                {"precision", name_of(generator.precision().precision)},
                {"canvas", facts_of(drawn, arguments.canvas.seamless)},
                {"seconds", {{"load", load_seconds}, {"draw_and_write", drawn.seconds}}},
                {"files", drawn.files}});
  } else if (!arguments.quiet && !drawn.stopped && speaks) {
    const Rectangle& r = drawn.rectangle;
    print_line(std::to_string(r.width) + " x " + std::to_string(r.height) + " pixels of " + info.name +
               (drawn.finished == 1 ? "" : ", " + std::to_string(drawn.finished) + " times,") + " in " +
               fixed(drawn.seconds, 2) + " s, " + std::to_string(drawn.report.nfe) +
               (drawn.report.nfe == 1 ? " network call" : " network calls") + " a pixel: " + where);
  }
  if (drawn.stopped) {
    throw StoppedByUser{std::to_string(drawn.finished) + " of " + std::to_string(request.seeds.size()) +
                        " pictures are done" + (drawn.finished > 0 ? " and kept: " + where : "")};
  }
}

void require_bytes(const OutputTarget& target, const ModelInfo& info, bool on_a_canvas, std::size_t count) {
  const bool fits = !on_a_canvas && !target.file.empty() && file_kind(target.file, info, count) == FileKind::npz;
  if (fits && info.data.modality == Modality::image) return;
  throw Error(ErrorKind::usage, "--bytes is for pictures in a .npz, such as -o set.npz");
}

void require_pictures(const OutputTarget& target, const ModelInfo& info, const Request& request) {
  const std::string file = target.file.empty() ? target.file_of(request.seeds.front()) : target.file;
  const FileKind kind = file_kind(file, info, target.file.empty() ? 1 : request.seeds.size());
  for (const FileKind picture : {FileKind::png, FileKind::jpeg, FileKind::webp, FileKind::apng, FileKind::gif}) {
    if (kind == picture) return;
  }
  throw Error(ErrorKind::usage, "--enlarge is for pictures; " + file + " holds none");
}

std::string frames_file(const std::string& sheet) { return std::filesystem::path(sheet).replace_extension(".json"); }

void require_sheet(const OutputTarget& target, const ModelInfo& info, std::size_t count) {
  const bool clips = info.data.modality == Modality::video && !target.file.empty();
  if (!clips || file_kind(target.file, info, count) != FileKind::png)
    throw Error(ErrorKind::usage, "--sheet is for clips in one .png, such as -o creatures.png");
  require_writable(frames_file(target.file));
}

/// What a game engine cuts the sheet by.
void write_frames(const std::string& sheet, const ModelInfo& info, const std::vector<Sample>& samples, int enlarge) {
  const std::vector<std::int64_t>& shape = samples.front().shape;
  SpriteSheet cut{.image = std::filesystem::path(sheet).filename(),
                  .width = enlarge * static_cast<int>(shape[3]),
                  .height = enlarge * static_cast<int>(shape[2]),
                  .frames = static_cast<int>(shape[1]),
                  .names = {},
                  .frame_rate = info.data.rate};
  for (const Sample& sample : samples) {
    const std::string label = sample.label ? label_text(*sample.label, info) + " " : "";
    cut.names.push_back(label + std::to_string(sample.seed));
  }
  const std::string json = to_json(cut);
  write_file(frames_file(sheet), std::as_bytes(std::span(json)));
}

std::string kept(std::int64_t count, std::size_t all, const std::string& where) {
  return std::to_string(count) + " of " + std::to_string(all) + " samples are done" +
         (count > 0 ? " and kept: " + where : "");
}

/// What --json and the summary say of samples, wherever they went.
Json facts_of(const Arguments& arguments, const Generator& generator, const Request& request, const Report& report,
              double load_seconds, double write_seconds) {
  return {{"model", generator.info().name},
          {"sampler", report.sampler},
          {"options", parts_of(request.sampler).options},
          {"levels", report.levels},
          {"nfe", report.nfe},
          {"count", report.count},
          {"seeds", Json()},
          {"labels", Json()},
          {"device", arguments.machine.device},
          {"precision", name_of(generator.precision().precision)},
          {"batch", arguments.batch},
          {"seconds", {{"load", load_seconds}, {"sample", report.seconds}, {"write", write_seconds}}},
          {"images_per_second", report.seconds > 0 ? static_cast<double>(report.count) / report.seconds : 0},
          {"files", Json::array()}};
}

void print_summary(const Report& report, const ModelInfo& info, const std::string& where) {
  print_line(std::to_string(report.count) + (report.count == 1 ? " sample" : " samples") + " of " + info.name + " in " +
             fixed(report.seconds, 2) + " s, " + std::to_string(report.nfe) +
             (report.nfe == 1 ? " network call" : " network calls") + " each: " + where);
}

/// Into a folder or a .npz.
void run_in_bulk(const Arguments& arguments, const Generator& generator, const Request& request,
                 const OutputTarget& target, const ModelHash& hash, double load_seconds) {
  const auto started = Clock::now();
  const BulkTask task{generator,
                      request,
                      hash,
                      arguments.bulk,
                      arguments.machine.device,
                      !arguments.machine.as_it_is,
                      arguments.quiet || arguments.json};
  const bool one_file = target.folder.empty();
  const std::string& where = one_file ? target.file : target.folder;
  const BulkReport drawn = one_file ? draw_into_npz(task, target.file, arguments.bytes)
                                    : draw_into_folder(task, target.folder, target.extension, arguments.enlarge);
  const Report& report = drawn.report;
  const bool speaks = this_rank().index == 0;
  if (arguments.json && speaks) {
    // What was written beside the network took no time of its own.
    Json json = facts_of(arguments, generator, request, report, load_seconds, seconds_since(started) - report.seconds);
    if (!one_file) json["manifest"] = drawn.manifest;
    json["finished"] = drawn.finished;
    json["broken"] = drawn.broken;
    json["files"] = Json();  // the manifest has them
    if (one_file) json["files"] = drawn.ended ? Json::array({target.file}) : Json::array();
    if (request.seeds.size() <= short_run && this_rank().count == 1) {
      json["seeds"] = Json::array();
      for (const Sample& sample : drawn.drawn) json["seeds"].push_back(sample.seed);
      if (generator.info().label_count > 0) json["labels"] = labels_of(drawn.drawn);
      if (!one_file) json["files"] = drawn.files;
    }
    print_json(json);
  } else if (!arguments.quiet && speaks && !report.stopped) {
    print_summary(report, generator.info(), where);
    if (drawn.finished > report.count) print_line(std::to_string(drawn.finished) + " samples are there in all");
  }
  if (drawn.broken > 0) {
    complain("NaN or infinity in " + std::to_string(drawn.broken) + " samples, which are " +
             (one_file ? "left out: " + where : "noted: " + drawn.manifest));
  }
  if (report.stopped) {
    throw StoppedByUser{
        kept(drawn.finished, static_cast<std::size_t>(drawn.asked), one_file ? folder_of_parts(where) : where) +
        (drawn.finished > 0 ? "; the same command with --resume goes on" : "")};
  }
}

void run(const Arguments& arguments) {
  if (arguments.canvas.label_map == "help") {
    for (const std::string& line : list_of_label_colours(describe_model(arguments.model).second)) print_line(line);
    return;
  }
  if (const auto code = run_in_workers()) throw EndedInWorkers{*code};
  const ModelHash hash(arguments.model);
  const auto load_started = Clock::now();
  const Generator generator = arguments.machine.load(arguments.model, arguments.quiet || this_rank().index > 0);
  const ModelInfo& info = generator.info();
  const double load_seconds = seconds_since(load_started);

  Request request;
  arguments.sampler.apply_to(request, info);
  request.batch = arguments.batch;
  const bool on_a_canvas = arguments.canvas.wanted(info, !arguments.noise.empty());
  if (!arguments.canvas.size.empty() && !on_a_canvas) request.sizes = parse_size(arguments.canvas.size, info);
  if (!arguments.tokens.empty()) request.tokens = read_tokens(arguments.tokens);
  std::int64_t count = arguments.grid.empty() ? 1 : 64;
  if (!arguments.noise.empty()) {
    std::tie(request.noise, count) = read_noise(arguments.noise, info, request.sizes);
  }
  request.seeds = choose_seeds(arguments.seeds, arguments.count, count);
  for (const std::string& label : arguments.labels) request.labels.push_back(find_label(label, info));

  if (arguments.canvas.tiles.empty() == arguments.output.empty())
    throw Error(ErrorKind::usage, "give either --output or --tiles: where the pictures are to go");
  const OutputTarget target = arguments.canvas.tiles.empty() ? find_target(arguments.output, info) : OutputTarget{};
  const bool npz =
      !target.file.empty() && !on_a_canvas && file_kind(target.file, info, request.seeds.size()) == FileKind::npz;
  const bool in_bulk = !target.folder.empty() || npz;
  if (!on_a_canvas && !in_bulk) arguments.bulk.require_none(arguments.output);
  if (arguments.bytes) require_bytes(target, info, on_a_canvas, request.seeds.size());
  if (arguments.frames) require_sheet(target, info, request.seeds.size());
  if (on_a_canvas) return run_on_canvas(arguments, generator, request, target, hash, load_seconds);
  if (arguments.enlarge > 1) require_pictures(target, info, request);
  SaveOptions options{.enlarge = arguments.enlarge};
  if (!arguments.grid.empty()) {
    if (target.file.empty())
      throw Error(ErrorKind::usage, "--grid puts all samples into one picture; name it with --output");
    options.columns = arguments.grid.front();
    if (options.columns < 0)
      throw Error(ErrorKind::usage, "--grid " + std::to_string(options.columns) + ": columns must be 1 or more");
  }

  if (in_bulk) return run_in_bulk(arguments, generator, request, target, hash, load_seconds);

  Interrupt interrupt;
  // All that can go wrong with the output is found before the first sample is drawn.
  const Report plan = generator.plan(request);
  if (target.file.empty()) {
    require_savable(target.file_of(request.seeds.front()), info, 1);
  } else {
    require_savable(target.file, info, request.seeds.size());
    require_memory(request.seeds.size(), plan.shape);
  }

  const Provenance provenance(hash);
  double write_seconds = 0;
  std::size_t written = 0;
  std::vector<Sample> samples;  // of one file; into a folder nothing is kept of them
  Json labels = Json::array();  // for the report
  Report report;
  const auto describe = [&](const std::vector<Sample>& drawn) {
    const Request again = drawn_again(part_of(request, info, places_from(written, drawn.size())), drawn);
    Json made{{"model", info.name},      {"sampler", report.sampler}, {"options", parts_of(request.sampler).options},
              {"levels", report.levels}, {"seeds", again.seeds},      {"labels", labels_of(drawn)}};
    made["request"] = Json::parse(to_json(again, info));
    options.texts = provenance.texts(std::move(made));
  };
  const auto write = [&](const std::string& file, const std::vector<Sample>& drawn) {
    const auto started = Clock::now();
    describe(drawn);
    save(file, info, drawn, options);
    if (arguments.frames) write_frames(file, info, drawn, arguments.enlarge);
    written += drawn.size();
    write_seconds += seconds_since(started);
  };

  {
    ProgressBar bar(arguments.quiet);
    const OnProgress on_progress = on_bar(bar, interrupt);
    const Sink sink = [&](Sample&& sample) {
      if (arguments.json && sample.label) labels.push_back(*sample.label);
      if (target.file.empty()) {
        write(target.file_of(sample.seed), {std::move(sample)});
      } else {
        samples.push_back(std::move(sample));
      }
    };
    report = plan;  // for what the first file says of itself
    report = generator.generate_each(request, sink, on_progress, interrupt.token());
  }
  if (!samples.empty()) write(target.file, samples);

  if (arguments.json) {
    // Those finished come first.
    const std::span seeds = std::span(request.seeds).first(static_cast<std::size_t>(report.count));
    Json files = Json::array();
    if (!target.file.empty() && !seeds.empty()) files.push_back(target.file);
    if (arguments.frames && !seeds.empty()) files.push_back(frames_file(target.file));
    for (const std::uint64_t seed : seeds) {
      if (target.file.empty()) files.push_back(target.file_of(seed));
    }
    Json json = facts_of(arguments, generator, request, report, load_seconds, write_seconds);
    json["seeds"] = seeds;
    if (info.label_count > 0) json["labels"] = std::move(labels);
    json["files"] = std::move(files);
    print_json(json);
  } else if (!arguments.quiet && !report.stopped) {
    print_summary(report, info, arguments.output);
  }
  if (report.stopped) throw StoppedByUser{kept(report.count, request.seeds.size(), arguments.output)};
}

}  // namespace

void add_generate(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("generate", "Draw samples to files");
  command->add_option("model", arguments->model, "a model file, or the name of a shipped model")
      ->required()
      ->type_name("MODEL");
  command->add_option(
      "-o,--output", arguments->output,
      "a file (.png, .jpg, .webp, .apng, .gif, .wav, .npy, .npz), a folder (one file a sample), or a pattern such as "
      "out/{seed:06d}.png");
  command->add_option("-n,--count", arguments->count, "samples, 1 to 10000000 (default: 1; with --grid 64)");
  command->add_option("--seeds", arguments->seeds, "seeds, such as 0-63,99 (default: 0 to count-1)");
  command->add_option("--label", arguments->labels,
                      "label by name or index; given several times, each in turn (default: each seed draws its own)");
  arguments->canvas.add_to(*command);
  arguments->bulk.add_to(*command);
  command->add_option("--tokens", arguments->tokens,
                      "of a model that takes text: a file of the numbers of its tokens, a text a line, each in turn");
  command->add_option("--batch", arguments->batch, "samples a network call, 1 or more (default: 64)");
  command
      ->add_option("--grid", arguments->grid, "one picture of all samples, in COLUMNS columns (default: about square)")
      ->expected(0, 1)
      ->default_str("0")
      ->type_name("[COLUMNS]");
  command->add_option("--enlarge", arguments->enlarge, "of pictures: every pixel becomes a square of so many, 1 to 64")
      ->check(CLI::Range(1, 64));
  command->add_option("--noise", arguments->noise,
                      "a .npy of unit Gaussians in place of the seeds' own: float32 [draws, N, ...] or [N, ...]");
  command->add_flag("--sheet", arguments->frames,
                    "of clips in one .png, which are a row each: a .json beside it says where each frame lies");
  command->add_flag("--bytes", arguments->bytes,
                    "of a .npz: pictures as bytes [N, H, W, C] in arr_0 and labels in arr_1, as ADM's tools read them");
  command->add_flag("--json", arguments->json, "a report on standard output, and nothing else there");
  command->add_flag("--quiet", arguments->quiet, "no progress bar and no summary");
  arguments->sampler.add_to(*command);
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep generate fashion --grid -o sheet.png\n"
      "  onestep generate fashion-teacher -n 1000000 --label Bag --label Coat --steps 40 -o garments/ --resume");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
