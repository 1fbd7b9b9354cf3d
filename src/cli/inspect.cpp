#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "arguments.hpp"
#include "commands.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model;
  MachineArguments machine;
  bool check = false, engine = false, json = false;
  std::int64_t batch = 1;
};

template <typename T>
std::string joined(const std::vector<T>& values, const char* between) {
  std::ostringstream text;
  for (std::size_t i = 0; i < values.size(); ++i) text << (i ? between : "") << values[i];
  return text.str();
}

Json as_json(const std::string& file, const ModelInfo& info) {
  Json levels = Json::object();
  for (const auto& [steps, values] : info.levels) levels[std::to_string(steps)] = values;
  Json json{{"file", file},
            {"name", info.name},
            {"license", info.license},
            {"role", name_of(info.role)},
            {"modality", name_of(info.data.modality)},
            {"shape", info.data.shape},
            {"range", {info.data.range_low, info.data.range_high}},
            {"labels", info.label_count},
            {"label_names", info.label_names},
            {"null_label", info.null_label ? Json(*info.null_label) : Json()},
            {"one_hot_labels", info.one_hot_labels},
            {"noise_input", info.noise_input},
            {"noise_scale", info.noise_scale},
            {"timesteps", info.timestep_sigmas.size()},
            {"prediction", info.prediction},
            {"guidance", guidance_input(info) ? Json(guidance_input(info)->default_value) : Json()},
            {"sigma_data", info.sigma_data},
            {"boundary_sigma", info.boundary_sigma},
            {"sigma_min", info.sigma_min},
            {"sigma_max", info.sigma_max},
            {"rho", info.rho},
            {"levels", levels},
            {"clip_denoised", info.clip_denoised},
            {"card", Json::parse(info.card)}};
  if (info.data.rate > 0) json["rate"] = info.data.rate;
  if (info.data.modality == Modality::music) {
    json["lowest_pitch"] = info.data.roll.lowest_pitch;
    json["thresholds"] = {info.data.roll.onset_threshold, info.data.roll.held_threshold};
  }
  return json;
}

void print(const std::string& file, const ModelInfo& info) {
  std::ostringstream noise, input, prediction;
  noise << "sigma from " << info.sigma_max << " down to " << info.sigma_min << ", rho " << info.rho;
  prediction << info.prediction;
  if (info.prediction == "edm" || info.prediction == "trigflow" || info.timestep_scaling > 0) {
    prediction << ", sigma_data " << info.sigma_data;
  }
  if (info.prediction == "edm") prediction << ", boundary_sigma " << info.boundary_sigma;
  if (info.timestep_scaling > 0) prediction << ", boundary at timestep 0, timestep_scaling " << info.timestep_scaling;
  input << info.noise_input;
  if (info.timestep_sigmas.empty()) {
    if (info.noise_input != "sigma") input << ", scale " << info.noise_scale;
  } else {
    input << ", " << info.timestep_sigmas.size() << (info.interpolated_timesteps ? ", interpolated" : ", nearest");
  }
  std::vector<std::vector<std::string>> rows{
      {"file", file},
      {"name", info.name},
      {"license", info.license.empty() ? "not stated" : info.license},
      {"role", name_of(info.role)},
      {"sample", std::string(name_of(info.data.modality)) + " " + to_text(info.data.sizes) + " in [" +
                     fixed(info.data.range_low, 0) + ", " + fixed(info.data.range_high, 0) + "]"},
      {"labels", info.label_count == 0      ? "none"
                 : info.label_names.empty() ? std::to_string(info.label_count)
                                            : joined(info.label_names, ", ")},
      {"noise", noise.str()},
      {"noise input", input.str()},
      {"prediction", prediction.str()}};
  const auto after_sample = [&](const std::string& name, const std::string& text) {
    rows.insert(rows.begin() + 5, {name, text});
  };
  if (const ConditionInfo* text = find_condition(info, ConditionKind::tokens)) {
    after_sample("text", (text->pad ? "at most " : "") + std::to_string(text->sizes[0].number) +
                             " tokens, each in [0, " + fixed(text->high, 0) + "]");
  }
  if (info.components.contains("decoder")) after_sample("decoded of", to_text(info.sample.sizes));
  if (const auto sizes = default_sizes(info.sample); !sizes.empty()) {
    std::string text;
    for (const auto& [name, size] : sizes) text += (text.empty() ? "" : ", ") + name + " = " + std::to_string(size);
    after_sample("by default", text);
  }
  if (const ConditionInfo* guidance = guidance_input(info))
    rows.push_back({"guidance", "an input of the network, by default " + fixed(guidance->default_value, 1)});
  for (const auto& [steps, levels] : info.levels) {
    rows.push_back({"levels, " + std::to_string(steps) + (steps == 1 ? " step" : " steps"), joined(levels, ", ")});
  }
  const Json card = Json::parse(info.card);
  for (const auto& [name, value] : card.items()) {
    rows.push_back({name, value.is_string() ? value.get<std::string>() : json_text(value)});
  }
  std::size_t width = 0;
  for (auto& row : rows) {
    row[0] = shown(row[0]);  // a card's names are as long as they are shown
    width = std::max(width, row[0].size());
  }
  for (const auto& row : rows) print_line(row[0] + std::string(width + 2 - row[0].size(), ' ') + row[1]);
}

/// Steps that do the same, with the time of all of them, longest first.
struct Kind {
  std::string description;
  std::int64_t steps = 0;
  double seconds = 0;
};

std::vector<Kind> kinds_of(const EngineReport& report) {
  std::vector<Kind> kinds;
  for (const EngineStep& step : report.steps) {
    auto kind =
        std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) { return k.description == step.description; });
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), {step.description});
    ++kind->steps;
    kind->seconds += step.seconds;
  }
  std::stable_sort(kinds.begin(), kinds.end(), [](const Kind& a, const Kind& b) { return a.seconds > b.seconds; });
  return kinds;
}

Json as_json(const EngineReport& report, std::int64_t batch) {
  Json json{{"compiled", report.compiled},
            {"precision", name_of(report.precision)},
            {"batch", batch},
            {"seconds", report.seconds}};
  if (!report.compiled) json["why_not"] = report.why_not;
  if (report.compiled) json["hardware"] = report.hardware;
  if (report.is_one_graph) json["one_graph"] = true;
  json["kinds"] = Json::array();
  for (const Kind& kind : kinds_of(report)) {
    json["kinds"].push_back({{"what", kind.description}, {"steps", kind.steps}, {"seconds", kind.seconds}});
  }
  return json;
}

void print(const EngineReport& report, std::int64_t batch) {
  const std::string call = "a call of " + std::to_string(batch) + (batch == 1 ? " sample: " : " samples: ") +
                           fixed(report.seconds * 1e3, 2) + " ms";
  if (!report.compiled) {
    print_line("engine: libtorch runs the network as it is (" + report.why_not + "); " + call);
    return;
  }
  print_line(std::string("engine: compiled, ") + name_of(report.precision) + ", " + report.hardware +
             (report.is_one_graph ? ", one graph; " : "; ") + call);
  double all = 0;
  for (const EngineStep& step : report.steps) all += step.seconds;
  std::vector<std::vector<std::string>> table{{"step", "times", "ms", "share"}};
  for (const Kind& kind : kinds_of(report)) {
    table.push_back({kind.description, std::to_string(kind.steps), fixed(kind.seconds * 1e3, 3),
                     fixed(100 * kind.seconds / all, 1) + " %"});
  }
  print_table(table);
}

void run(const Arguments& arguments) {
  const auto [file, info] = describe_model(arguments.model);
  Json json = as_json(file, info);
  if (!arguments.json) print(file, info);

  if (!arguments.check && !arguments.engine) {
    if (arguments.json) print_json(json);
    return;
  }
  const Generator generator = arguments.machine.load(arguments.model, false);
  const auto& [precision, why] = generator.precision();
  json["precision"] = {{"used", name_of(precision)}, {"why", why}};
  if (!arguments.json) print_line(std::string("precision: ") + name_of(precision) + ", " + why);
  if (arguments.engine) {
    const EngineReport report = generator.engine(arguments.batch);
    json["engine"] = as_json(report, arguments.batch);
    if (!arguments.json) print(report, arguments.batch);
  }
  std::string failed;
  if (arguments.check) {
    json["checks"] = Json::array();
    for (const Check& check : generator.check()) {
      json["checks"].push_back({{"claim", check.claim}, {"holds", check.holds}, {"found", check.found}});
      if (!arguments.json) print_line((check.holds ? "holds  " : "FAILS  ") + check.claim + ": " + check.found);
      if (!check.holds) failed += (failed.empty() ? "" : "; ") + check.claim + " (" + check.found + ")";
    }
  }
  if (arguments.json) print_json(json);
  if (!failed.empty()) throw Error(ErrorKind::model, file + ": fails its check: " + failed);
}

}  // namespace

void add_inspect(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("inspect", "Print what a model file says of itself, without running its code");
  command->add_option("model", arguments->model, "a model file, or the name of a shipped model")
      ->required()
      ->type_name("MODEL");
  command->add_flag("--check", arguments->check, "run the model as well, and test what it claims");
  command->add_flag("--engine", arguments->engine,
                    "run the model as well, and show into what it was compiled and where the time goes");
  command->add_option("--batch", arguments->batch, "samples a call, with --engine, 1 or more (default: 1)");
  command->add_flag("--json", arguments->json, "all of it on standard output, as JSON");
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep inspect --check path/to/model.pt\n  onestep inspect --engine --batch 64 fashion");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
