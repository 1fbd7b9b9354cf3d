#include <algorithm>
#include <nlohmann/json.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "picture_input.hpp"
#include "provenance.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, input, mask, output, seeds, noise;
  int factor = 2;
  std::optional<std::int64_t> count;
  std::optional<int> steps;
  std::optional<double> sigma;
  std::vector<double> levels;
  std::vector<std::string> labels;
  PictureInput pictures;
  MachineArguments machine;
  bool json = false, quiet = false;
};

/// An edit, and what its user should hear of it.
struct Prepared {
  Edit edit;
  std::string remark = {};
};

Prepared inpaint(const Arguments& arguments, const ModelInfo& info) {
  const InputSample picture = arguments.pictures.read(arguments.input, info.data.shape, info);
  std::vector<bool> known_pixels = picture.there;
  if (!arguments.mask.empty()) {
    const InputMask mask = arguments.pictures.read_mask(arguments.mask, info.data.shape);
    if (mask.width != picture.width || mask.height != picture.height) {
      throw Error(ErrorKind::file, arguments.mask + ": has " + std::to_string(mask.width) + " x " +
                                       std::to_string(mask.height) + " pixels; a mask has as many as its picture, " +
                                       std::to_string(picture.width) + " x " + std::to_string(picture.height));
    }
    // White is drawn, as in most programs that inpaint.
    for (std::size_t p = 0; p < mask.drawn.size(); ++p) known_pixels[p] = known_pixels[p] && !mask.drawn[p];
  }
  Inpaint task{picture.values, {}};
  for (std::int64_t c = 0; c < info.data.shape[0]; ++c) {
    task.mask.insert(task.mask.end(), known_pixels.begin(), known_pixels.end());
  }
  const auto known = static_cast<std::size_t>(std::count(task.mask.begin(), task.mask.end(), 1.0F));
  const std::string what = arguments.mask.empty() ? arguments.input : arguments.mask;
  std::string remark;
  if (known == 0) remark = what + " leaves nothing of the picture: all of it is drawn";
  if (known == task.mask.size() && arguments.mask.empty()) {
    throw Error(ErrorKind::usage,
                arguments.input + " is opaque all over; give --mask, a picture that is white where it is to be drawn");
  }
  if (known == task.mask.size()) remark = what + " covers nothing: the picture stays as it is";
  return {std::move(task), std::move(remark)};
}

Prepared colorize(const Arguments& arguments, const ModelInfo& info) {
  if (info.data.shape[0] != 3) {
    throw Error(ErrorKind::usage, "colorize needs a model that makes colours; " + info.name + " makes grey pictures");
  }
  const std::vector<float> colours = arguments.pictures.read(arguments.input, info.data.shape, info).values;
  const std::size_t pixels = colours.size() / 3;
  Colorize task;
  for (std::size_t p = 0; p < pixels; ++p) {
    task.luma.push_back(0.299F * colours[p] + 0.587F * colours[p + pixels] + 0.114F * colours[p + 2 * pixels]);
  }
  return {std::move(task)};
}

Prepared upscale(const Arguments& arguments, const ModelInfo& info) {
  const int factor = arguments.factor;
  if (factor < 2 || info.data.shape[1] % factor != 0 || info.data.shape[2] % factor != 0) {
    throw Error(ErrorKind::usage, "--factor " + std::to_string(factor) + " must be 2 or more and divide " +
                                      std::to_string(info.data.shape[1]) + " and " +
                                      std::to_string(info.data.shape[2]));
  }
  const std::vector<std::int64_t> shape{info.data.shape[0], info.data.shape[1] / factor, info.data.shape[2] / factor};
  return {Upscale{arguments.pictures.read(arguments.input, shape, info).values, factor}};
}

Prepared stroke(const Arguments& arguments, const ModelInfo& info) {
  return {Stroke{arguments.pictures.read(arguments.input, info.data.shape, info).values}};
}

Prepared denoise(const Arguments& arguments, const ModelInfo& info) {
  return {Denoise{arguments.pictures.read(arguments.input, info.data.shape, info).values}};
}

struct Task {
  const char* name;
  const char* description;
  const char* input;
  const char* example;
  Prepared (*prepare)(const Arguments&, const ModelInfo&);
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
      {"denoise",
       "Take the noise out of a picture",
       "the noisy picture, of the model's size",
       "denoise fashion noisy.png --sigma 0.5",
       denoise,
       {}},
  };
  return table;
}

void run(const Task& task, const Arguments& arguments) {
  const Generator generator = arguments.machine.load(arguments.model, arguments.quiet);
  const ModelInfo& info = generator.info();
  if (info.data.modality != Modality::image) {
    throw Error(ErrorKind::usage, "edit works on pictures; " + info.name + " makes " + name_of(info.data.modality) +
                                      ", which the library can edit (onestep/generator.hpp)");
  }
  Request request;
  Levels levels{.steps = arguments.steps, .values = arguments.levels};
  if (arguments.sigma) levels.values = {*arguments.sigma};
  if (!levels.steps && levels.values.empty()) levels.values = task.levels;
  if (levels.values.empty()) levels = {.steps = levels.steps.value_or(8), .schedule = "karras"};
  request.sampler = ConsistencySampler{.levels = levels};
  Prepared prepared = task.prepare(arguments, info);
  request.edit = std::move(prepared.edit);
  std::int64_t count = 1;
  if (!arguments.noise.empty()) std::tie(request.noise, count) = read_noise(arguments.noise, info, {});
  request.seeds = choose_seeds(arguments.seeds, arguments.count, count);
  for (const std::string& label : arguments.labels) request.labels.push_back(find_label(label, info));
  require_savable(arguments.output, info, request.seeds.size());

  if (!prepared.remark.empty() && !arguments.quiet) complain(prepared.remark);
  const Provenance provenance(generator);
  Interrupt interrupt;
  const Result result = generate_with_bar(generator, request, interrupt, arguments.quiet);
  Json report{{"task", task.name},
              {"model", info.name},
              {"input", arguments.input},
              {"levels", result.report.levels},
              {"nfe", result.report.nfe},
              {"seeds", request.seeds},
              {"labels", labels_of(result.samples)}};
  SaveOptions options;
  options.texts = provenance.texts(report);
  save(arguments.output, info, result.samples, options);
  report["remark"] = prepared.remark;
  report["seconds"] = result.report.seconds;
  report["model_sha256"] = provenance.model_sha256();
  report["file"] = arguments.output;
  if (arguments.json) print_json(report);
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
    CLI::App* command = edit->add_subcommand(task.name, task.description);
    command->add_option("model", arguments->model, "a consistency model: a file, or the name of a shipped one")
        ->required();
    command->add_option("input", arguments->input, task.input)->required();
    const std::string name = task.name;
    if (name == "inpaint") {
      command->add_option("--mask", arguments->mask,
                          "a picture of the same size: white is drawn, black is kept (default: what is transparent is "
                          "drawn)");
    }
    if (name == "upscale") {
      command->add_option("--factor", arguments->factor, "how much larger, 2 or more (default: 2)");
    }
    if (name == "denoise") {
      command
          ->add_option("--sigma", arguments->sigma,
                       "deviation of the noise in the picture, in units of the model's range, up to sigma_max")
          ->required();
    } else {
      command->add_option("--steps", arguments->steps, "Karras levels, 1 to 10000 (default: 8; stroke: levels 5,1)");
      command->add_option("--levels", arguments->levels, "noise levels in place of --steps, falling")->delimiter(',');
    }
    command->add_option("-o,--output", arguments->output, "a file, as of generate; several seeds become a sheet")
        ->required();
    command->add_option("--seeds", arguments->seeds, "one variation a seed, such as 0-8 (default: 0 to count-1)");
    command->add_option("-n,--count", arguments->count, "variations, 1 or more (default: 1)");
    command->add_option("--label", arguments->labels,
                        "label by name or index; given several times, each in turn (default: each seed draws its own)");
    command->add_option("--noise", arguments->noise,
                        "a .npy of unit Gaussians in place of the seeds' own, as of generate");
    arguments->pictures.add_to(*command);
    command->add_flag("--json", arguments->json, "a report on standard output");
    command->add_flag("--quiet", arguments->quiet, "no progress bar");
    arguments->machine.add_to(*command);
    command->footer("Examples:\n  onestep edit " + std::string(task.example) + " -o edited.png\n  onestep edit " +
                    task.example + " --seeds 0-8 -o sheet.png");
    command->callback([arguments, &task] { run(task, *arguments); });
  }
  add_interpolate(*edit);
}

}  // namespace onestep
