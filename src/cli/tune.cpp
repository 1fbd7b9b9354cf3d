#include "onestep/tune.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "arguments.hpp"
#include "commands.hpp"
#include "line_plot.hpp"
#include "output_file.hpp"
#include "reference_set.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model, reference, steps = "2", plot, write;
  std::int64_t count = 2000;
  TuneOptions options;
  MachineArguments machine;
  bool json = false, quiet = false;
};

/// "3" or "2..4" -> the last number; every one from 2 up to it is found on the way.
int parse_steps(const std::string& text) {
  const std::size_t dots = text.find("..");
  const std::string last = dots == std::string::npos ? text : text.substr(dots + 2);
  int first_steps = 2, last_steps = 0;
  if ((dots != std::string::npos && !CLI::detail::lexical_cast(text.substr(0, dots), first_steps)) ||
      !CLI::detail::lexical_cast(last, last_steps) || first_steps < 2 || last_steps < first_steps || last_steps > 16) {
    throw Error(ErrorKind::usage,
                "--steps " + text + " must be a number such as 2 or a range such as 2..4, in [2, 16]");
  }
  return last_steps;
}

std::string four_digits(double level) {
  std::ostringstream text;
  text.precision(4);
  text << level;
  return text.str();
}

std::string as_text(const std::vector<double>& levels) {
  std::string text;
  for (const double level : levels) text += (text.empty() ? "" : ", ") + four_digits(level);
  return text;
}

/// Four digits are as many as a search over sets of samples can tell apart. The first level is the model's own.
std::map<int, std::vector<double>> rounded(std::map<int, std::vector<double>> levels) {
  for (auto& [steps, found] : levels) {
    for (std::size_t i = 1; i < found.size(); ++i) found[i] = std::stod(four_digits(found[i]));
  }
  return levels;
}

void run(const Arguments& arguments) {
  TuneOptions options = arguments.options;
  options.steps = parse_steps(arguments.steps);
  if (arguments.count < 2 || arguments.count > 1'000'000) {
    throw Error(ErrorKind::usage, "--count " + std::to_string(arguments.count) + " must lie in [2, 1000000]");
  }
  options.seeds.resize(static_cast<std::size_t>(arguments.count));
  std::iota(options.seeds.begin(), options.seeds.end(), 0);
  if (!arguments.plot.empty() && !arguments.plot.ends_with(".svg")) {
    throw Error(ErrorKind::usage, "--plot " + arguments.plot + " must end in .svg");
  }
  for (const std::string& file : {arguments.plot, arguments.write}) {
    if (!file.empty()) require_writable(file);
  }
  const Generator generator = arguments.machine.load(arguments.model, arguments.quiet);
  const ModelInfo& info = generator.info();
  const std::vector<float> reference = read_reference_set(
      arguments.reference, {info.data.modality, info.data.shape, info.data.range_low, info.data.range_high, 1},
      10 * options.seeds.size());

  Interrupt interrupt;
  Tuned tuned;
  {
    ProgressBar bar(arguments.quiet);
    const OnProgress on_progress = on_bar(bar, interrupt);
    tuned = tune(generator, reference, options, on_progress, interrupt.token());
  }
  if (tuned.stopped) throw StoppedByUser{"no levels were written"};
  const auto levels = rounded(tuned.levels);

  if (!arguments.plot.empty()) {
    std::vector<Line> lines;
    for (const auto& [steps, found] : levels) lines.push_back({"step " + std::to_string(steps), {}});
    for (const Trial& trial : tuned.trials) {
      lines[static_cast<std::size_t>(trial.steps - 2)].points.emplace_back(trial.level, trial.distance);
    }
    for (Line& line : lines) std::sort(line.points.begin(), line.points.end());
    const std::string name = tuned.distance == "frechet" ? "Frechet distance" : "sliced Wasserstein distance";
    const std::string svg = line_plot(info.name + ": the level of each further step", "noise level", name, lines);
    write_file(arguments.plot, std::as_bytes(std::span(svg)));
  }
  if (!arguments.write.empty()) write_levels(generator.file(), levels, arguments.write);

  if (arguments.json) {
    Json json{{"model", info.name},         {"distance", tuned.distance}, {"samples", arguments.count},
              {"one_step", tuned.one_step}, {"steps", Json::array()},     {"trials", Json::array()}};
    for (const auto& [steps, found] : levels) {
      json["steps"].push_back({{"steps", steps},
                               {"levels", found},
                               {"distance", tuned.distances.at(steps)},
                               {"before", tuned.before.at(steps)}});
    }
    for (const Trial& trial : tuned.trials) {
      json["trials"].push_back({{"steps", trial.steps}, {"level", trial.level}, {"distance", trial.distance}});
    }
    print_json(json);
    return;
  }
  std::vector<std::vector<std::string>> table{{"levels", "steps", "distance", "before"}};
  table.push_back({as_text({info.sigma_max}), "1", fixed(tuned.one_step, 4), ""});
  for (const auto& [steps, found] : levels) {
    table.push_back(
        {as_text(found), std::to_string(steps), fixed(tuned.distances.at(steps), 4), fixed(tuned.before.at(steps), 4)});
  }
  print_table(table);
  print_line(std::string("distance: ") +
             (tuned.distance == "frechet" ? "Frechet, in the network's features" : "sliced Wasserstein") + ", " +
             std::to_string(arguments.count) + " samples; before: of the levels that the model had");
}

}  // namespace

void add_tune(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("tune", "Find the levels at which a consistency model's samples are nearest to real ones");
  command->add_option("model", arguments->model, "a model file, or the name of a shipped model")
      ->required()
      ->type_name("MODEL");
  command
      ->add_option("--reference", arguments->reference,
                   "real samples: a folder of pictures, a .npy, the array `samples` of a .npz, or an IDX file")
      ->required();
  command->add_option("--steps", arguments->steps, "steps to find levels for, 2 to 16, such as 2..4 (default: 2)");
  command->add_option("--features", arguments->options.features,
                      "a TorchScript network [N, ...] -> [N, D] for the Frechet distance (default: the sliced "
                      "Wasserstein distance of the samples themselves)");
  command->add_option("-n,--count", arguments->count, "samples a trial, 2 to 1000000 (default: 2000)");
  command->add_option("--evaluations", arguments->options.evaluations, "trials a level, 2 to 100 (default: 12)");
  command->add_option("--batch", arguments->options.batch, "samples a network call, 1 or more (default: 64)");
  command->add_option("--plot", arguments->plot, "an .svg of the distance against the level");
  command->add_option("--write", arguments->write, "a copy of the model file that recommends the levels found");
  command->add_flag("--json", arguments->json, "all trials on standard output, as JSON");
  command->add_flag("--quiet", arguments->quiet, "no progress bar");
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep tune fashion --reference pictures --steps 2..4 --plot levels.svg\n"
      "  onestep tune model.pt --reference real.npz --features inception.pt --write tuned.pt");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
