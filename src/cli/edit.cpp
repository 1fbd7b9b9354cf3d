#include <nlohmann/json.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "edit_tasks.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
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

void run(const EditTask& task, const Arguments& arguments) {
  const ModelHash hash(arguments.model);
  const Generator generator = arguments.machine.load(arguments.model, arguments.quiet);
  const ModelInfo& info = generator.info();
  if (info.data.modality != Modality::image) {
    throw Error(ErrorKind::usage, "edit works on pictures; " + info.name + " makes " + name_of(info.data.modality) +
                                      ", which the library can edit (onestep/generator.hpp)");
  }
  Request request;
  Levels levels{.steps = arguments.steps, .values = arguments.levels};
  if (arguments.sigma) levels.values = {*arguments.sigma};
  request.sampler = ConsistencySampler{.levels = levels_of_edit(task, levels)};
  EditInput input{arguments.pictures, read_picture(arguments.input), arguments.input, {}, "", arguments.factor};
  if (!arguments.mask.empty()) {
    input.mask = read_picture(arguments.mask);
    input.mask_name = arguments.mask;
  }
  PreparedEdit prepared = task.prepare(input, info);
  request.edit = std::move(prepared.edit);
  std::int64_t count = 1;
  if (!arguments.noise.empty()) std::tie(request.noise, count) = read_noise(arguments.noise, info, {});
  request.seeds = choose_seeds(arguments.seeds, arguments.count, count);
  for (const std::string& label : arguments.labels) request.labels.push_back(find_label(label, info));
  require_savable(arguments.output, info, request.seeds.size());

  if (!prepared.remark.empty() && !arguments.quiet) complain(prepared.remark);
  const Provenance provenance(hash);
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
  for (const EditTask& task : edit_tasks()) {
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* command = edit->add_subcommand(task.name, task.description);
    command->add_option("model", arguments->model, "a consistency model: a file, or the name of a shipped one")
        ->required()
        ->type_name("MODEL");
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
