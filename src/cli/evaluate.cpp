#include "onestep/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "arguments.hpp"
#include "array_file.hpp"
#include "bar_chart.hpp"
#include "commands.hpp"
#include "comparison_sheet.hpp"
#include "grammar.hpp"
#include "onestep/request_json.hpp"
#include "output_file.hpp"
#include "picture_file.hpp"
#include "provenance.hpp"
#include "ranks.hpp"
#include "sample_source.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string samples, reference, floor, output, sheet, moments, seeds, input_size, input_resize = "bicubic";
  std::optional<std::int64_t> count;
  std::vector<std::string> labels;
  std::vector<double> input_range;
  std::int64_t batch = 64;
  std::optional<int> neighbours;
  EvaluateOptions options;
  SamplerArguments sampler;
  MachineArguments machine;
  bool json = false, quiet = false;
};

/// The name of a measure for people, and whether its bar is a share of 1.
struct Title {
  const char *name, *title;
  bool share;
};
constexpr Title titles[] = {{"frechet", "Frechet distance", false}, {"kid", "kernel distance (KID)", false},
                            {"precision", "precision", true},       {"recall", "recall", true},
                            {"density", "density", true},           {"coverage", "coverage", true},
                            {"agreement", "label agreement", true}, {"inception_score", "inception score", false}};

const Title& title_of(const Measure& measure) {
  return *std::find_if(std::begin(titles), std::end(titles), [&](const Title& t) { return t.name == measure.name; });
}

std::string digits(double value) {
  std::ostringstream text;
  text.precision(4);
  text << value;
  return text.str();
}

void require_png(const std::string& file, const char* option) {
  if (file.empty()) return;
  if (!file.ends_with(".png")) throw Error(ErrorKind::usage, option + (" " + file) + " must end in .png");
  require_writable(file);
}

EvaluateOptions options_of(const Arguments& arguments) {
  EvaluateOptions options = arguments.options;
  FeatureOptions& features = options.features;
  if (!arguments.input_size.empty()) features.size = parse_extent(arguments.input_size, "--input-size");
  if (arguments.input_resize == "bilinear") {
    features.resize = Resize::bilinear;
  } else if (arguments.input_resize != "bicubic") {
    throw Error(ErrorKind::usage, "--input-resize " + arguments.input_resize + " must be bicubic or bilinear");
  }
  if (!arguments.input_range.empty()) {
    if (arguments.input_range.size() != 2)
      throw Error(ErrorKind::usage, "--input-range must be two numbers, such as 0,1 or -1,1");
    features.range.emplace(arguments.input_range[0], arguments.input_range[1]);
  }
  if (arguments.neighbours) options.precision_neighbours = options.density_neighbours = *arguments.neighbours;
  options.floor = !arguments.floor.empty() || !arguments.output.empty();
  return options;
}

/// Whether a file holds moments alone.
bool holds_moments(const std::string& file) {
  if (!file.ends_with(".npz") || !std::filesystem::is_regular_file(file)) return false;
  const std::vector<std::string> names = arrays_of(file);
  const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  return has("mu") && has("sigma") && !has("samples") && !has("arr_0");
}

/// Each label's name, and how many labels before it have the same.
std::vector<std::pair<std::string, std::int64_t>> numbered(const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, std::int64_t>> all;
  std::map<std::string, std::int64_t> seen;
  for (const std::string& name : names) all.emplace_back(name, seen[name]++);
  return all;
}

/// The label of the reference by that of the samples, where both name theirs.
std::function<std::int64_t(std::int64_t)> translation(const SampleSource& from, const SampleSource& to) {
  if (from.label_names.empty() || to.label_names.empty()) return [](std::int64_t label) { return label; };
  const auto others = numbered(to.label_names);
  std::vector<std::int64_t> translated;
  for (const auto& name : numbered(from.label_names)) {
    const auto found = std::find(others.begin(), others.end(), name);
    translated.push_back(found == others.end() ? -1 : found - others.begin());
  }
  if (std::all_of(translated.begin(), translated.end(), [](std::int64_t label) { return label < 0; })) {
    throw Error(ErrorKind::usage, "no label of " + from.name + ", such as " + from.label_names.front() +
                                      ", is one of " + to.name + ", such as " + to.label_names.front() +
                                      "; name the folders alike");
  }
  return [translated](std::int64_t label) { return translated.at(static_cast<std::size_t>(label)); };
}

/// For people and as keys: a label's name, where it has one of its own; else its number.
std::string text_of(std::int64_t label, const std::vector<std::string>& names) {
  const auto i = static_cast<std::size_t>(label);
  const bool own = label >= 0 && i < names.size() && std::count(names.begin(), names.end(), names[i]) == 1;
  return own ? names[i] : std::to_string(label);
}

/// A model's samples, every label in turn unless some are asked for.
Request request_of(const Arguments& arguments, const ModelInfo& info) {
  Request request;
  arguments.sampler.apply_to(request, info);
  request.batch = arguments.batch;
  request.seeds = choose_seeds(arguments.seeds, arguments.count, 10'000);
  for (const std::string& label : arguments.labels) request.labels.push_back(find_label(label, info));
  for (std::int64_t i = 0; arguments.labels.empty() && i < info.label_count; ++i) request.labels.push_back(i);
  return request;
}

/// Samples above the references that are nearest to them: those that are nearest of all, then some from all over the
/// set.
void write_sheet(const std::string& file, const Evaluation& evaluation, const SampleSource& samples,
                 const SampleSource& reference) {
  constexpr std::size_t columns = 12;
  const auto& nearest = evaluation.nearest;
  std::vector<std::int64_t> order(nearest.size());
  std::iota(order.begin(), order.end(), 0);
  const std::size_t shown = std::min(columns, order.size());
  std::vector<std::int64_t> any;
  for (std::size_t i = 0; i < shown; ++i) any.push_back(order[i * order.size() / shown]);
  const auto distance = [&](std::int64_t i) { return nearest[static_cast<std::size_t>(i)].distance; };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return distance(a) < distance(b); });
  const std::vector<std::int64_t> closest(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown));

  std::vector<std::int64_t> of_samples = closest, of_reference;
  of_samples.insert(of_samples.end(), any.begin(), any.end());
  for (const std::int64_t i : of_samples) of_reference.push_back(nearest[static_cast<std::size_t>(i)].reference);
  for (std::vector<std::int64_t>* numbers : {&of_samples, &of_reference}) {
    std::sort(numbers->begin(), numbers->end());
    numbers->erase(std::unique(numbers->begin(), numbers->end()), numbers->end());
  }
  const auto drawn = samples.these(of_samples), real = reference.these(of_reference);
  const auto picture = [&](const std::vector<float>& values, const SampleSource& source) {
    return to_picture(values, source.data.shape, source.data.range_low, source.data.range_high);
  };
  std::vector<SheetRow> rows;
  const auto add = [&](const std::string& title, const std::vector<std::int64_t>& numbers) {
    SheetRow above{{title, "distances " + digits(distance(numbers.front())) + " ..."}, {}}, below{{"nearest real"}, {}};
    for (const std::int64_t i : numbers) {
      above.tiles.push_back(picture(drawn.at(i), samples));
      below.tiles.push_back(picture(real.at(nearest[static_cast<std::size_t>(i)].reference), reference));
    }
    rows.push_back(std::move(above));
    rows.push_back(std::move(below));
  };
  add("nearest of all", closest);
  add("from all over", any);
  write_file(file, encode_png(comparison_sheet("Samples and the real ones nearest to them", rows)));
}

void write_chart(const std::string& file, const Evaluation& evaluation, const Arguments& arguments) {
  std::vector<Bar> bars;
  for (const Measure& measure : evaluation.measures) {
    const Title& title = title_of(measure);
    const double full = title.share ? 1 : std::max({measure.value, measure.floor.value_or(0), 1e-300});
    Bar bar{title.title, digits(measure.value), {}, measure.value / full, {}};
    if (measure.standard_error) bar.value_text += " +- " + digits(*measure.standard_error);
    if (measure.floor) {
      bar.other_text = digits(*measure.floor);
      bar.other_length = *measure.floor / full;
    }
    bars.push_back(std::move(bar));
  }
  const std::string floor = arguments.floor.empty() ? "half of the reference against the other half"
                                                    : arguments.floor + " against the reference";
  write_file(file, encode_png(bar_chart(
                       arguments.samples, bars,
                       {"blue: " + std::to_string(evaluation.samples) + " samples against " + arguments.reference,
                        "grey, the floor: " + floor})));
}

Json to_json(const std::vector<Measure>& measures) {
  Json json = Json::object();
  for (const Measure& measure : measures) {
    Json& one = json[measure.name] = {{"value", measure.value}};
    if (measure.standard_error) one["standard_error"] = *measure.standard_error;
    if (measure.floor) one["floor"] = *measure.floor;
  }
  return json;
}

/// What the feature network was given.
Json input_json(const DataSpace& data, const FeatureOptions& features) {
  std::vector<std::int64_t> shape = data.shape;
  if (features.channels) shape[0] = *features.channels;
  const bool resized = features.size && (features.size->second != shape[1] || features.size->first != shape[2]);
  if (features.size) shape = {shape[0], features.size->second, features.size->first};
  const auto [low, high] = features.range.value_or(std::pair(data.range_low, data.range_high));
  return {{"shape", shape},
          {"range", {low, high}},
          {"bytes_first", data.modality == Modality::image},
          {"resize", resized ? Json(name_of(features.resize)) : Json()}};
}

void run(const Arguments& arguments) {
  const EvaluateOptions given = options_of(arguments);
  if (arguments.reference.empty() && arguments.moments.empty())
    throw Error(ErrorKind::usage,
                "give --reference, what the samples are compared with, or --moments, to write theirs");
  const bool from_model = names_a_model(arguments.samples);
  if (!from_model && (!arguments.seeds.empty() || !arguments.labels.empty()))
    throw Error(ErrorKind::usage, "--seeds and --label are for a model; " + arguments.samples + " are samples");
  if (!from_model && arguments.count && (*arguments.count < 2 || *arguments.count > most_samples))
    throw Error(ErrorKind::usage, "--count " + std::to_string(*arguments.count) + " must lie in [2, " +
                                      std::to_string(most_samples) + "]");
  require_png(arguments.output, "--output");
  require_png(arguments.sheet, "--neighbours");
  if (!arguments.moments.empty()) {
    if (!arguments.moments.ends_with(".npz"))
      throw Error(ErrorKind::usage, "--moments " + arguments.moments + " must end in .npz");
    require_writable(arguments.moments);
  }
  const bool by_moments = !arguments.reference.empty() && holds_moments(arguments.reference);
  if (!arguments.sheet.empty() && (arguments.reference.empty() || by_moments || given.moments_only))
    throw Error(ErrorKind::usage, "--neighbours needs the reference's samples and all features, not moments alone");

  std::optional<ModelHash> hash;
  std::optional<Generator> generator;
  Request request;
  std::unique_ptr<SampleSource> samples, reference, floor;
  if (from_model) {
    if (arguments.json) hash.emplace(arguments.samples);
    generator.emplace(arguments.machine.load(arguments.samples, arguments.quiet));
    request = request_of(arguments, generator->info());
    samples = samples_of_model(*generator, request, arguments.samples);
  } else {
    samples =
        samples_of_files(arguments.samples, static_cast<std::size_t>(arguments.count.value_or(most_samples)), nullptr);
  }
  if (!arguments.sheet.empty() && samples->data.modality != Modality::image)
    throw Error(ErrorKind::usage,
                std::string("--neighbours is for pictures, not for ") + name_of(samples->data.modality));
  if (!arguments.reference.empty() && !by_moments)
    reference = samples_of_files(arguments.reference, most_samples, &samples->data);
  if (!arguments.floor.empty())
    floor = samples_of_files(arguments.floor, static_cast<std::size_t>(samples->count), &samples->data);

  const Rank rank = this_rank();
  const bool first = rank.index == 0;
  EvaluateOptions options = given;
  if (arguments.reference.empty()) options.moments_only = true;
  if (rank.count > 1 && !options.moments_only)
    throw Error(ErrorKind::usage,
                std::to_string(rank.count) +
                    " processes add up moments alone; give --moments-only, or measure the rest by one "
                    "process, of samples in files");
  if (samples->has_labels) options.label_count = static_cast<std::int64_t>(samples->label_names.size());
  Evaluator evaluator(samples->data, options);
  Interrupt interrupt;
  const auto add = [&](EvaluatedSet set, const SampleSource& source) {
    const auto label_of = translation(source, *samples);
    source.each(
        [&](std::span<const float> values, std::optional<std::int64_t> label) {
          evaluator.add(set, values, label ? std::optional(label_of(*label)) : std::nullopt);
        },
        rank, interrupt, arguments.quiet || !first);
    if (rank.count > 1) evaluator.sum_over_processes(set, sum_over_ranks);
  };
  if (reference) add(EvaluatedSet::reference, *reference);
  if (by_moments) evaluator.set_reference(read_moments(arguments.reference));
  if (floor) add(EvaluatedSet::floor, *floor);
  add(EvaluatedSet::samples, *samples);
  if (!first) return;
  if (!arguments.moments.empty()) write_moments(arguments.moments, evaluator.moments(EvaluatedSet::samples));
  if (arguments.reference.empty()) {
    if (!arguments.quiet) print_line("moments of " + std::to_string(samples->count) + " samples: " + arguments.moments);
    return;
  }

  Evaluation evaluation;
  {
    ProgressBar bar(arguments.quiet);
    evaluation = evaluator.evaluate(on_bar(bar, interrupt), interrupt.token());
  }
  if (evaluation.stopped) throw StoppedByUser{"nothing was measured"};
  if (!arguments.sheet.empty()) write_sheet(arguments.sheet, evaluation, *samples, *reference);
  if (!arguments.output.empty()) write_chart(arguments.output, evaluation, arguments);

  const auto label_text = [&](std::int64_t label) { return text_of(label, samples->label_names); };
  if (arguments.json) {
    Json of_samples{{"source", arguments.samples}, {"count", evaluation.samples}};
    if (generator) {
      const Report plan = generator->plan(request);
      of_samples.update({{"model", generator->info().name},
                         {"model_sha256", hash->get()},
                         {"precision", name_of(generator->precision().precision)},
                         {"sampler", plan.sampler},
                         {"options", parts_of(request.sampler).options},
                         {"levels", plan.levels},
                         {"nfe", plan.nfe}});
    }
    const std::string& network = options.features.network;
    Json json{{"samples", of_samples},
              {"reference", {{"source", arguments.reference}, {"count", evaluation.reference}}},
              {"floor", Json()},
              {"features",
               {{"network", network.empty() ? Json() : Json(network)},
                {"sha256", network.empty() ? Json() : Json(sha256_of_files({network}))},
                {"dimensions", evaluation.dimensions},
                {"input", input_json(samples->data, options.features)}}},
              {"neighbours", {{"precision", options.precision_neighbours}, {"density", options.density_neighbours}}},
              {"measures", to_json(evaluation.measures)}};
    if (options.floor) {
      json["floor"] = {{"source", floor ? arguments.floor : "halves of the reference"},
                       {"count", floor ? evaluation.floor : evaluation.reference / 2}};
    }
    if (options.by_label) {
      Json& labels = json["labels"] = Json::object();
      for (const auto& [label, measures] : evaluation.by_label) labels[label_text(label)] = to_json(measures);
    }
    if (!evaluation.nearest.empty()) {
      std::vector<double> distances;
      for (const Nearest& nearest : evaluation.nearest) distances.push_back(nearest.distance);
      std::sort(distances.begin(), distances.end());
      json["nearest"] = {{"least", distances.front()},
                         {"percentile_1", distances[distances.size() / 100]},
                         {"median", distances[distances.size() / 2]}};
    }
    print_json(json);
    return;
  }
  std::vector<std::vector<std::string>> table{{"measure", "value", "standard error"}};
  if (options.floor) table.front().push_back("floor");
  const auto add_rows = [&](const std::vector<Measure>& measures, const std::string& of) {
    for (const Measure& measure : measures) {
      table.push_back({title_of(measure).title + of, digits(measure.value),
                       measure.standard_error ? digits(*measure.standard_error) : ""});
      if (options.floor) table.back().push_back(measure.floor ? digits(*measure.floor) : "");
    }
  };
  add_rows(evaluation.measures, "");
  for (const auto& [label, measures] : evaluation.by_label) add_rows(measures, ", " + label_text(label));
  print_table(table);
  print_line(std::to_string(evaluation.samples) + " samples, " +
             (by_moments ? "moments of a reference" : std::to_string(evaluation.reference) + " of the reference") +
             ", in " + std::to_string(evaluation.dimensions) +
             (options.features.network.empty() ? " values of the samples themselves" : " features"));
}

}  // namespace

void add_evaluate(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "evaluate", "Measure how far samples are from real ones: FID, KID, precision, recall and more");
  command
      ->add_option("samples", arguments->samples,
                   "what is measured: a folder of pictures, a .npy, a .npz, an IDX file, or a model, which draws them")
      ->required();
  command->add_option("--reference", arguments->reference,
                      "real samples, likewise; or moments `mu` and `sigma` in a .npz, as pytorch-fid writes them");
  command->add_option("--features", arguments->options.features.network,
                      "a TorchScript network [N, ...] -> [N, D], or -> ([N, D], logits [N, K]) (default: the values "
                      "themselves)");
  command
      ->add_option("--input-size", arguments->input_size,
                   "WIDTHxHEIGHT that the network is given, up to 4096 (default: as the samples are)")
      ->group("Input of the feature network");
  command
      ->add_option("--input-resize", arguments->input_resize,
                   "bicubic (antialiased, as Pillow) or bilinear (as pytorch-fid) (default: bicubic)")
      ->group("Input of the feature network");
  command
      ->add_option("--input-range", arguments->input_range,
                   "what black and white are, such as 0,1 or 0,255 (default: the samples' range, -1,1)")
      ->delimiter(',')
      ->group("Input of the feature network");
  command
      ->add_option("--input-channels", arguments->options.features.channels,
                   "3: grey pictures become three channels (default: as the samples are)")
      ->group("Input of the feature network");
  command->add_option("-k,--nearest", arguments->neighbours,
                      "balls reach to this neighbour, 1 to 1000 (default: 3 of precision and recall, 5 of density and "
                      "coverage)");
  command->add_option("--floor", arguments->floor,
                      "other real samples, measured as the samples are: what a perfect model would get (default with "
                      "--output: half of the reference against the other half)");
  command->add_flag("--by-label", arguments->options.by_label, "also for the samples of each label");
  command->add_flag("--moments-only", arguments->options.moments_only,
                    "the Frechet distance alone: memory does not grow with the samples");
  command->add_option("-o,--output", arguments->output, "a .png with a bar a measure");
  command->add_option("--neighbours", arguments->sheet,
                      "a .png of samples and the real ones nearest to them: copies would show");
  command->add_option("--moments", arguments->moments,
                      "a .npz for mean and covariance of the samples' features, which pytorch-fid reads");
  command->add_option("-n,--count", arguments->count,
                      "samples, 2 to 10000000 (default: of a model 10000, of files all)");
  command->add_option("--seeds", arguments->seeds, "of a model: seeds, such as 0-9999 (default: 0 to count-1)");
  command->add_option("--label", arguments->labels,
                      "of a model: label by name or index; several in turn (default: every label in turn)");
  command->add_option("--batch", arguments->batch, "of a model: samples a network call, 1 or more (default: 64)");
  command->add_flag("--json", arguments->json, "a report on standard output, and nothing else there");
  command->add_flag("--quiet", arguments->quiet, "no progress bar");
  arguments->sampler.add_to(*command);
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep evaluate samples.npz --reference pictures --features inception.pt --input-size 299x299\n"
      "  onestep evaluate fashion -n 10000 --reference t10k-images-idx3-ubyte.gz -o report.png --neighbours sheet.png");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
