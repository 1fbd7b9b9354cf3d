#include <nlohmann/json.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "edit_tasks.hpp"
#include "new_paths.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "output_target.hpp"
#include "provenance.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, input, mask, gap, output, seeds, noise;
  int factor = 2;
  std::optional<std::int64_t> count;
  std::optional<int> steps;
  std::optional<double> sigma;
  std::vector<double> levels;
  std::vector<std::string> labels;
  InputFit fit;
  MachineArguments machine;
  bool json = false, quiet = false;
};

void require_editable(const EditTask& task, const ModelInfo& info) {
  const Modality modality = info.data.modality;
  if (modality == Modality::image || (modality == Modality::audio && task.sound_example)) return;
  std::string of_sounds;
  for (const EditTask& each : edit_tasks()) {
    if (each.sound_example) of_sounds += (of_sounds.empty() ? "" : ", ") + std::string(each.name);
  }
  std::string message = info.name + " makes " + name_of(modality) + "; edit " + task.name + " works on pictures";
  if (modality == Modality::audio)
    message += "; on sounds work " + of_sounds;
  else if (task.sound_example)
    message += " and sounds";
  if (modality == Modality::music) message += "; compose edits music";
  throw Error(ErrorKind::usage, message);
}

EditInput read_input(const Arguments& arguments, const ModelInfo& info) {
  EditInput input{.fit = arguments.fit, .name = arguments.input, .factor = arguments.factor};
  if (!arguments.gap.empty()) input.gap = parse_gap(arguments.gap);
  if (info.data.modality == Modality::audio)
    input.given = read_sound(arguments.input);
  else
    input.given = read_picture(arguments.input);
  if (!arguments.mask.empty()) {
    input.mask = read_picture(arguments.mask);
    input.mask_name = arguments.mask;
  }
  return input;
}

void run(const EditTask& task, const Arguments& arguments) {
  const ModelHash hash(arguments.model);
  const Generator generator = arguments.machine.load(arguments.model, arguments.quiet);
  const ModelInfo& info = generator.info();
  require_editable(task, info);
  Request request;
  Levels levels{.steps = arguments.steps, .values = arguments.levels};
  if (arguments.sigma) levels.values = {*arguments.sigma};
  request.sampler = ConsistencySampler{.levels = levels_of_edit(task, levels, info)};
  PreparedEdit prepared = task.prepare(read_input(arguments, info), info);
  request.edit = std::move(prepared.edit);
  std::int64_t count = 1;
  if (!arguments.noise.empty()) std::tie(request.noise, count) = read_noise(arguments.noise, info, {});
  request.seeds = choose_seeds(arguments.seeds, arguments.count, count);
  for (const std::string& label : arguments.labels) request.labels.push_back(find_label(label, info));
  generator.plan(request);  // before a folder is made
  const OutputTarget target = find_target(arguments.output, info);
  NewPaths made;
  if (!target.new_folder.empty()) made.make_folder(target.new_folder);
  if (target.file.empty())
    require_savable(target.file_of(request.seeds.front()), info, 1);
  else
    require_savable(target.file, info, request.seeds.size());

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
  Json files = Json::array();
  const auto write = [&](const std::string& file, const std::vector<Sample>& samples) {
    Json facts = report;
    facts["seeds"] = Json::array();
    for (const Sample& sample : samples) facts["seeds"].push_back(sample.seed);
    facts["labels"] = labels_of(samples);
    SaveOptions options;
    options.texts = provenance.texts(facts);
    save(file, info, samples, options);
    files.push_back(file);
  };
  if (target.file.empty()) {
    for (const Sample& sample : result.samples) write(target.file_of(sample.seed), {sample});
  } else {
    write(target.file, result.samples);
  }
  report["remark"] = prepared.remark;
  report["seconds"] = result.report.seconds;
  report["model_sha256"] = provenance.model_sha256();
  report["file"] = arguments.output;
  report["files"] = files;
  if (arguments.json) print_json(report);
}

}  // namespace

void add_edit(CLI::App& app) {
  CLI::App* edit = app.add_subcommand("edit", "Edit pictures and sounds with a consistency model, without training");
  edit->require_subcommand(1);
  edit->footer(
      "Examples:\n  onestep edit inpaint fashion shirt.png --mask mask.png -o whole.png\n"
      "  onestep edit stroke drums kick.wav --label kick -n 8 -o variations/");
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
      command->add_option("--gap", arguments->gap, "FROM-TO, the seconds of a sound that are drawn, such as 0.1-0.25");
    }
    if (name == "upscale") {
      command->add_option("--factor", arguments->factor, "how much larger, 2 or more (default: 2)");
    }
    if (name == "denoise") {
      command
          ->add_option("--sigma", arguments->sigma,
                       "deviation of the noise in the picture or sound, in units of the model's range, up to sigma_max")
          ->required();
    } else {
      command->add_option(
          "--steps", arguments->steps,
          "Karras levels, 1 to 10000 (default: 8, stroke levels 5,1; of sounds levels 0.1, inpaint sigma_max,0.1)");
      command->add_option("--levels", arguments->levels, "noise levels in place of --steps, falling")->delimiter(',');
    }
    command
        ->add_option("-o,--output", arguments->output,
                     "a file, as of generate, where several pictures become a sheet; a folder or a pattern such as "
                     "out/{seed:06d}.wav for a file a seed")
        ->required();
    command->add_option("--seeds", arguments->seeds, "one variation a seed, such as 0-8 (default: 0 to count-1)");
    command->add_option("-n,--count", arguments->count, "variations, 1 or more (default: 1)");
    command->add_option("--label", arguments->labels,
                        "label by name or index; given several times, each in turn (default: each seed draws its own)");
    command->add_option("--noise", arguments->noise,
                        "a .npy of unit Gaussians in place of the seeds' own, as of generate");
    arguments->fit.add_to(*command);
    command->add_flag("--json", arguments->json, "a report on standard output");
    command->add_flag("--quiet", arguments->quiet, "no progress bar");
    arguments->machine.add_to(*command);
    const std::string again =
        task.sound_example ? task.sound_example : std::string(task.example) + " --seeds 0-8 -o sheet.png";
    command->footer("Examples:\n  onestep edit " + std::string(task.example) + " -o edited.png\n  onestep edit " +
                    again);
    command->callback([arguments, &task] { run(task, *arguments); });
  }
  add_interpolate(*edit);
}

}  // namespace onestep
