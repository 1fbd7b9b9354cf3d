#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "onestep/save.hpp"
#include "picture_file.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, input, mask, output, seeds;
  int factor = 2;
  std::optional<std::int64_t> count;
  std::optional<int> steps;
  std::vector<double> levels;
  std::vector<std::string> labels;
  MachineArguments machine;
  bool json = false, quiet = false;
};

/// The values [C, H, W] of a picture that must have this shape.
std::vector<float> read_values(const std::string& file, const std::vector<std::int64_t>& shape, const ModelInfo& info) {
  const Picture picture = read_picture(file);
  if (picture.channels > shape[0]) {
    throw Error(ErrorKind::file,
                file + ": is in colour, but " + info.name + " makes grey pictures; make it grey first");
  }
  if (picture.height != shape[1] || picture.width != shape[2]) {
    throw Error(ErrorKind::file, file + ": has " + std::to_string(picture.width) + " x " +
                                     std::to_string(picture.height) + " pixels; it must have " +
                                     std::to_string(shape[2]) + " x " + std::to_string(shape[1]));
  }
  std::vector<float> values;
  const std::size_t pixels = picture.pixels.size() / picture.channels;
  for (std::int64_t c = 0; c < shape[0]; ++c) {
    for (std::size_t p = 0; p < pixels; ++p) {
      const double part = picture.pixels[p * picture.channels + c % picture.channels] / 255.0;
      values.push_back(static_cast<float>(info.range_low + part * (info.range_high - info.range_low)));
    }
  }
  return values;
}

Edit inpaint(const Arguments& arguments, const ModelInfo& info) {
  Inpaint task{read_values(arguments.input, info.shape, info), read_values(arguments.mask, info.shape, info)};
  // White is drawn, as in most programs that inpaint.
  const double middle = (info.range_low + info.range_high) / 2;
  for (float& value : task.mask) value = value < middle ? 1 : 0;
  return task;
}

Edit colorize(const Arguments& arguments, const ModelInfo& info) {
  if (info.shape[0] != 3) {
    throw Error(ErrorKind::usage, "colorize needs a model that makes colours; " + info.name + " makes grey pictures");
  }
  const std::vector<float> colours = read_values(arguments.input, info.shape, info);
  const std::size_t pixels = colours.size() / 3;
  Colorize task;
  for (std::size_t p = 0; p < pixels; ++p) {
    task.luma.push_back(0.299F * colours[p] + 0.587F * colours[p + pixels] + 0.114F * colours[p + 2 * pixels]);
  }
  return task;
}

Edit upscale(const Arguments& arguments, const ModelInfo& info) {
  const int factor = arguments.factor;
  if (factor < 2 || info.shape[1] % factor != 0 || info.shape[2] % factor != 0) {
    throw Error(ErrorKind::usage, "--factor " + std::to_string(factor) + " must be 2 or more and divide " +
                                      std::to_string(info.shape[1]) + " and " + std::to_string(info.shape[2]));
  }
  return Upscale{read_values(arguments.input, {info.shape[0], info.shape[1] / factor, info.shape[2] / factor}, info),
                 factor};
}

Edit stroke(const Arguments& arguments, const ModelInfo& info) {
  return Stroke{read_values(arguments.input, info.shape, info)};
}

struct Task {
  const char* name;
  const char* what;
  const char* input;
  const char* example;
  Edit (*edit)(const Arguments&, const ModelInfo&);
  std::vector<double> levels;  ///< By default, below sigma_max; empty: steps Karras levels.
};

const std::vector<Task>& tasks() {
  static const std::vector<Task> table{
      {"inpaint",
       "Draw anew what a mask covers",
       "the picture, of the model's size",
       "inpaint fashion shirt.png --mask mask.png",
       inpaint,
       {}},
      {"colorize",
       "Colour a grey picture",
       "the picture, of the model's size",
       "colorize model.pt grey.png",
       colorize,
       {}},
      {"upscale",
       "Draw the details of a small picture",
       "the small picture, of the model's size divided by --factor",
       "upscale fashion small.png --factor 2",
       upscale,
       {}},
      {"stroke",
       "Turn a rough picture into one of the model's",
       "the picture, of the model's size",
       "stroke fashion sketch.png --levels 5,1",
       stroke,
       {5, 1}},
  };
  return table;
}

void run(const Task& task, const Arguments& arguments) {
  const Generator generator = arguments.machine.load(arguments.model);
  const ModelInfo& info = generator.info();
  if (info.modality != "image") {
    throw Error(ErrorKind::usage, "edit works on pictures; " + info.name + " makes " + info.modality +
                                      ", which the library can edit (onestep/generator.hpp)");
  }
  if (arguments.steps && !arguments.levels.empty()) {
    throw Error(ErrorKind::usage, "--steps and --levels say the same in two ways; give one of them");
  }
  Request request;
  ConsistencySampler sampler{.steps = arguments.steps.value_or(8), .schedule = "karras"};
  sampler.levels = arguments.levels.empty() && !arguments.steps ? task.levels : arguments.levels;
  if (!sampler.levels.empty()) sampler.schedule.clear();
  request.sampler = sampler;
  request.edit = task.edit(arguments, info);
  request.seeds = choose_seeds(arguments.seeds, arguments.count, 1);
  for (const std::string& label : arguments.labels) request.labels.push_back(parse_label(label, info));
  require_savable(arguments.output, info, request.seeds.size());

  Interrupt interrupt;
  Result result;
  {
    ProgressBar bar(arguments.quiet);
    const OnProgress on_progress = [&](const Progress& progress) {
      interrupt.poll();
      bar.show(progress);
    };
    result = generator.generate(request, on_progress, interrupt.token());
  }
  if (result.report.stopped) throw StoppedByUser{"no edit was written"};
  const Json report{{"task", task.name},
                    {"model", info.name},
                    {"input", arguments.input},
                    {"levels", result.report.levels},
                    {"nfe", result.report.nfe},
                    {"seeds", request.seeds},
                    {"seconds", result.report.seconds},
                    {"file", arguments.output}};
  SaveOptions options;
  options.texts = {{"Software", "onestep " ONESTEP_VERSION}, {"onestep", report.dump()}};
  save(arguments.output, info, result.samples, options);
  if (arguments.json) std::cout << report.dump(1) << '\n';
}

}  // namespace

void add_edit(CLI::App& app) {
  CLI::App* edit = app.add_subcommand("edit", "Edit pictures with a consistency model, without training");
  edit->require_subcommand(1);
  edit->footer(
      "Examples:\n  onestep edit inpaint fashion shirt.png --mask mask.png -o whole.png\n"
      "  onestep edit stroke fashion sketch.png --label Bag --seeds 0-8 -o bags.png");
  for (const Task& task : tasks()) {
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* command = edit->add_subcommand(task.name, task.what);
    command->add_option("model", arguments->model, "a consistency model: a file, or the name of a shipped one")
        ->required();
    command->add_option("input", arguments->input, task.input)->required();
    if (std::string(task.name) == "inpaint") {
      command->add_option("--mask", arguments->mask, "a picture of the same size: white is drawn, black is kept")
          ->required();
    }
    if (std::string(task.name) == "upscale") {
      command->add_option("--factor", arguments->factor, "how much larger, 2 or more (default: 2)");
    }
    command->add_option("-o,--output", arguments->output, "a file, as of generate; several seeds become a sheet")
        ->required();
    command->add_option("--seeds", arguments->seeds, "one variation a seed, such as 0-8 (default: 0 to count-1)");
    command->add_option("-n,--count", arguments->count, "variations, 1 or more (default: 1)");
    command->add_option("--label", arguments->labels, "label by name or index (default: each seed draws its own)");
    command->add_option("--steps", arguments->steps, "Karras levels, 1 to 10000 (default: 8; stroke: levels 5,1)");
    command->add_option("--levels", arguments->levels, "noise levels in place of --steps, falling")->delimiter(',');
    command->add_flag("--json", arguments->json, "a report on standard output");
    command->add_flag("--quiet", arguments->quiet, "no progress bar");
    arguments->machine.add_to(*command);
    command->footer("Examples:\n  onestep edit " + std::string(task.example) + " -o edited.png\n  onestep edit " +
                    task.example + " --seeds 0-8 -o sheet.png");
    command->callback([arguments, &task] { run(task, *arguments); });
  }
}

}  // namespace onestep
