#include "onestep/interpolate.hpp"

#include <nlohmann/json.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "input_fit.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "provenance.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, first, last, output, label;
  int frames = 8;
  std::uint64_t seed = 0;
  std::vector<double> levels;
  InputFit pictures;
  MachineArguments machine;
  bool json = false, quiet = false;
};

bool is_seed(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

void run(const Arguments& arguments) {
  const ModelHash hash(arguments.model);
  const Generator generator = arguments.machine.load(arguments.model, arguments.quiet);
  const ModelInfo& info = generator.info();
  const bool seeds = is_seed(arguments.first);
  if (is_seed(arguments.last) != seeds) {
    throw Error(ErrorKind::usage, arguments.first + " and " + arguments.last +
                                      " must both be seeds, or both be pictures (./5 is a file, 5 a seed)");
  }
  if (!seeds && info.data.modality != Modality::image) {
    throw Error(ErrorKind::usage, info.name + " makes " + name_of(info.data.modality) + "; give two seeds");
  }

  const auto read = [&](const std::string& file) {
    return arguments.pictures.read(read_picture(file), file, info.data.shape, info).values;
  };
  Request request;
  Levels levels{.values = arguments.levels};
  // At 1.2 the ends are still like the pictures, and what is between them is drawn rather than blended.
  if (!seeds && levels.values.empty()) levels.values = {1.2, 0.5};
  request.sampler = ConsistencySampler{.levels = levels};
  request.seeds.assign(1, seeds ? parse_seeds(arguments.first).front() : arguments.seed);
  const Report plan = generator.plan(request);
  const int draws = static_cast<int>(plan.levels.size());
  if (seeds) {
    request.noise =
        interpolate_seeds(info, request.seeds.front(), parse_seeds(arguments.last).front(), arguments.frames, draws);
  } else {
    request.noise = interpolate_samples(info, read(arguments.first), read(arguments.last), plan.levels.front(),
                                        arguments.seed, arguments.frames, draws);
  }
  // Frames differ by the noise given alone: one seed, and with it one label, for all.
  request.seeds.assign(static_cast<std::size_t>(arguments.frames), request.seeds.front());
  if (!arguments.label.empty()) request.labels = {find_label(arguments.label, info)};
  require_savable(arguments.output, info, request.seeds.size());

  const Provenance provenance(hash);
  Interrupt interrupt;
  const Result result = generate_with_bar(generator, request, interrupt, arguments.quiet);
  Json report{{"task", "interpolate"},
              {"model", info.name},
              {"between", {arguments.first, arguments.last}},
              {"levels", result.report.levels},
              {"nfe", result.report.nfe},
              {"seeds", Json::array({request.seeds.front()})},
              {"frames", arguments.frames},
              {"labels", labels_of(std::span(result.samples).first(1))}};
  SaveOptions options;
  options.columns = arguments.frames <= 16 ? arguments.frames : 0;  // a strip, as long as it fits a page
  options.texts = provenance.texts(report);
  save(arguments.output, info, result.samples, options);
  report["seconds"] = result.report.seconds;
  report["model_sha256"] = provenance.model_sha256();
  report["file"] = arguments.output;
  if (arguments.json) print_json(report);
}

}  // namespace

void add_interpolate(CLI::App& edit) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = edit.add_subcommand("interpolate", "Go from one picture to another");
  command->add_option("model", arguments->model, "a consistency model: a file, or the name of a shipped one")
      ->required()
      ->type_name("MODEL");
  command->add_option("first", arguments->first, "a seed, or a picture of the model's size")->required();
  command->add_option("last", arguments->last, "another of the same kind")->required();
  command->add_option("--frames", arguments->frames, "pictures from first to last, 2 or more (default: 8)");
  command->add_option("-o,--output", arguments->output, "a file, as of generate: the frames as a sheet, or an array")
      ->required();
  command->add_option("--seed", arguments->seed, "of the noise that two pictures are given (default: 0)");
  command->add_option("--label", arguments->label, "label by name or index (default: the one that the seed draws)");
  command
      ->add_option(
          "--levels", arguments->levels,
          "noise levels, falling (default: seeds: sigma_max; pictures: 1.2,0.5, the first being that of their noise)")
      ->delimiter(',');
  arguments->pictures.add_to(*command);
  command->add_flag("--json", arguments->json, "a report on standard output");
  command->add_flag("--quiet", arguments->quiet, "no progress bar");
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep edit interpolate fashion 3 8 --label Coat -o coats.png\n"
      "  onestep edit interpolate fashion a.png b.png --frames 12 -o between.png");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
