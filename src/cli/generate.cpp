#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

#include "arguments.hpp"
#include "canvas_output.hpp"
#include "commands.hpp"
#include "file_pattern.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "provenance.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Arguments {
  std::string model, output, seeds, noise, tokens;
  std::optional<std::int64_t> count;
  std::vector<std::string> labels;
  std::int64_t batch = 64;
  std::vector<int> grid;
  CanvasArguments canvas;
  SamplerArguments sampler;
  MachineArguments machine;
  bool json = false, quiet = false;
};

/// One file, or a pattern that names one file a sample.
struct Target {
  std::string file, pattern, new_folder;
};

std::string doubled_braces(const std::string& text) {
  std::string doubled;
  for (const char c : text) doubled += c == '{' || c == '}' ? std::string(2, c) : std::string(1, c);
  return doubled;
}

Target find_target(const std::string& output, const ModelInfo& info) {
  if (output.empty()) throw Error(ErrorKind::usage, "--output is empty; give a file, a folder or a pattern");
  std::error_code unreachable;  // as require_savable says
  if (output.back() == '/' || fs::is_directory(output, unreachable)) {
    const std::string extension = info.data.modality == Modality::audio   ? ".wav"
                                  : info.data.modality == Modality::video ? ".webp"
                                                                          : ".png";
    Target target{
        .file = "", .pattern = doubled_braces(fs::path(output) / "") + "{seed:06d}" + extension, .new_folder = ""};
    if (!fs::exists(output, unreachable)) target.new_folder = fs::path(output).parent_path();
    return target;
  }
  if (is_file_pattern(output)) return {.file = "", .pattern = output, .new_folder = ""};
  return {.file = output, .pattern = "", .new_folder = ""};
}

/// A folder made for the samples, gone again if none came.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path) : path_(path) {
    if (path_.empty()) return;
    std::error_code error;
    if (!fs::create_directory(path_, error) && error) {
      throw Error(ErrorKind::file, path_ + ": the folder can't be made: " + error.message() +
                                       "; its own folder must exist and be writable");
    }
  }
  ~NewFolder() {
    std::error_code not_empty;
    if (!path_.empty()) fs::remove(path_, not_empty);
  }

 private:
  std::string path_;
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

void run_on_canvas(const Arguments& arguments, const Generator& generator, const Request& request, const Target& target,
                   const ModelHash& hash, double load_seconds) {
  if (!arguments.grid.empty()) throw Error(ErrorKind::usage, "--grid is for samples; a picture with --size goes alone");
  if (!target.file.empty() && request.seeds.size() > 1) {
    throw Error(ErrorKind::usage, target.file + " holds one picture of that size, not " +
                                      std::to_string(request.seeds.size()) +
                                      "; give a folder, or a pattern such as out/{seed:06d}.png");
  }
  const ModelInfo& info = generator.info();
  const NewFolder folder(target.new_folder);
  const Provenance provenance(hash);
  const auto file_of = [&](std::uint64_t seed) {
    return target.file.empty() ? file_of_seed(target.pattern, seed) : target.file;
  };
  const auto texts = [&](Json facts) { return provenance.texts(std::move(facts)); };
  CanvasOutput drawn =
      draw_canvases(generator, request, arguments.canvas, file_of, texts, arguments.quiet || arguments.json);
  const std::string where = arguments.canvas.tiles.empty() ? arguments.output : arguments.canvas.tiles;
  if (arguments.json) {
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
  } else if (!arguments.quiet && !drawn.stopped) {
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

void run(const Arguments& arguments) {
  if (arguments.canvas.label_map == "help") {
    for (const std::string& line : list_of_label_colours(describe_model(arguments.model).second)) print_line(line);
    return;
  }
  const ModelHash hash(arguments.model);
  const auto load_started = Clock::now();
  const Generator generator = arguments.machine.load(arguments.model, arguments.quiet);
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
  const Target target = arguments.canvas.tiles.empty() ? find_target(arguments.output, info) : Target{};
  if (on_a_canvas) return run_on_canvas(arguments, generator, request, target, hash, load_seconds);
  SaveOptions options;
  if (!arguments.grid.empty()) {
    if (target.file.empty())
      throw Error(ErrorKind::usage, "--grid puts all samples into one picture; name it with --output");
    options.columns = arguments.grid.front();
    if (options.columns < 0)
      throw Error(ErrorKind::usage, "--grid " + std::to_string(options.columns) + ": columns must be 1 or more");
  }

  Interrupt interrupt;
  // All that can go wrong with the output is found before the first sample is drawn.
  const NewFolder folder(target.new_folder);
  if (target.file.empty()) {
    require_savable(file_of_seed(target.pattern, request.seeds.front()), info, 1);
  } else {
    require_savable(target.file, info, request.seeds.size());
    require_memory(request.seeds.size(), generator.plan(request).shape);
  }

  const Provenance provenance(hash);
  double write_seconds = 0;
  std::vector<Sample> samples;  // of one file; into a folder nothing is kept of them
  Json labels = Json::array();  // for the report
  Report report;
  const auto describe = [&](const std::vector<Sample>& drawn) {
    const Request again = drawn_again(request, drawn);
    Json made{{"model", info.name},      {"sampler", report.sampler}, {"options", parts_of(request.sampler).options},
              {"levels", report.levels}, {"seeds", again.seeds},      {"labels", labels_of(drawn)}};
    made["request"] = Json::parse(to_json(again, info));
    options.texts = provenance.texts(std::move(made));
  };
  const auto write = [&](const std::string& file, const std::vector<Sample>& drawn) {
    const auto started = Clock::now();
    describe(drawn);
    save(file, info, drawn, options);
    write_seconds += seconds_since(started);
  };

  {
    ProgressBar bar(arguments.quiet);
    const OnProgress on_progress = [&](const Progress& progress) {
      interrupt.poll();
      bar.show(progress);
    };
    const Sink sink = [&](Sample&& sample) {
      if (arguments.json && sample.label) labels.push_back(*sample.label);
      if (target.file.empty()) {
        write(file_of_seed(target.pattern, sample.seed), {std::move(sample)});
      } else {
        samples.push_back(std::move(sample));
      }
    };
    report = generator.plan(request);  // for what the first file says of itself
    report = generator.generate_each(request, sink, on_progress, interrupt.token());
  }
  if (!target.file.empty() && !samples.empty()) write(target.file, samples);

  if (arguments.json) {
    // Those finished come first.
    const std::span seeds = std::span(request.seeds).first(static_cast<std::size_t>(report.count));
    Json files = Json::array();
    if (!target.file.empty() && !seeds.empty()) files.push_back(target.file);
    for (const std::uint64_t seed : seeds) {
      if (target.file.empty()) files.push_back(file_of_seed(target.pattern, seed));
    }
    const Json json{{"model", info.name},
                    {"sampler", report.sampler},
                    {"options", parts_of(request.sampler).options},
                    {"levels", report.levels},
                    {"nfe", report.nfe},
                    {"count", report.count},
                    {"seeds", seeds},
                    {"labels", info.label_count > 0 ? std::move(labels) : Json()},
                    {"device", arguments.machine.device},
                    {"precision", name_of(generator.precision().precision)},
                    {"batch", arguments.batch},
                    {"seconds", {{"load", load_seconds}, {"sample", report.seconds}, {"write", write_seconds}}},
                    {"images_per_second", report.seconds > 0 ? static_cast<double>(report.count) / report.seconds : 0},
                    {"files", std::move(files)}};
    print_json(json);
  } else if (!arguments.quiet && !report.stopped) {
    print_line(std::to_string(report.count) + (report.count == 1 ? " sample" : " samples") + " of " + info.name +
               " in " + fixed(report.seconds, 2) + " s, " + std::to_string(report.nfe) +
               (report.nfe == 1 ? " network call" : " network calls") + " each: " + arguments.output);
  }
  if (report.stopped) {
    throw StoppedByUser{std::to_string(report.count) + " of " + std::to_string(request.seeds.size()) +
                        " samples are done" + (report.count > 0 ? " and kept: " + arguments.output : "")};
  }
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
      "a file (.png, .jpg, .webp, .wav, .npy, .npz), a folder (one file a sample), or a pattern such as "
      "out/{seed:06d}.png");
  command->add_option("-n,--count", arguments->count, "samples, 1 to 10000000 (default: 1; with --grid 64)");
  command->add_option("--seeds", arguments->seeds, "seeds, such as 0-63,99 (default: 0 to count-1)");
  command->add_option("--label", arguments->labels,
                      "label by name or index; given several times, each in turn (default: each seed draws its own)");
  arguments->canvas.add_to(*command);
  command->add_option("--tokens", arguments->tokens,
                      "of a model that takes text: a file of the numbers of its tokens, a text a line, each in turn");
  command->add_option("--batch", arguments->batch, "samples a network call, 1 or more (default: 64)");
  command
      ->add_option("--grid", arguments->grid, "one picture of all samples, in COLUMNS columns (default: about square)")
      ->expected(0, 1)
      ->default_str("0")
      ->type_name("[COLUMNS]");
  command->add_option("--noise", arguments->noise,
                      "a .npy of unit Gaussians in place of the seeds' own: float32 [draws, N, ...] or [N, ...]");
  command->add_flag("--json", arguments->json, "a report on standard output, and nothing else there");
  command->add_flag("--quiet", arguments->quiet, "no progress bar and no summary");
  arguments->sampler.add_to(*command);
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep generate fashion --grid -o sheet.png\n"
      "  onestep generate fashion-teacher -n 1000 --label Bag --label Coat --steps 40 -o samples.npz");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
