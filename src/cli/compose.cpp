#include "onestep/compose.hpp"

#include <chrono>
#include <nlohmann/json.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "grammar.hpp"
#include "midi.hpp"
#include "new_paths.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "output_target.hpp"
#include "provenance.hpp"
#include "seconds_since.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Arguments {
  std::string model, output, melody, continued, varied, filled, gap, seeds, key, soundfont;
  std::optional<std::int64_t> bars, count;
  std::optional<double> freedom, tempo;
  SamplerArguments sampler;
  MachineArguments machine;
  bool json = false, quiet = false;
};

/// What is given, and its tempo.
struct Given {
  decltype(Composition::given) notes;
  std::optional<double> tempo;
};

/// "5-8" or "5": the first and the last bar.
Fill gap_of(const std::string& text) {
  const std::size_t dash = std::min(text.find('-'), text.size());
  const auto first = parse_whole(text.substr(0, dash));
  const auto last = dash == text.size() ? first : parse_whole(text.substr(dash + 1));
  if (!first || !last || *first < 1 || *last < *first || *last > most_bars)
    throw Error(ErrorKind::usage, "--gap " + text + " must be bars, counted from 1, such as 5-8 or 5");
  return {{}, static_cast<std::int64_t>(*first), static_cast<std::int64_t>(*last)};
}

Given read_given(const Arguments& arguments, const ModelInfo& info) {
  std::string file;
  for (const std::string& each : {arguments.melody, arguments.continued, arguments.varied, arguments.filled}) {
    if (!file.empty() && !each.empty())
      throw Error(ErrorKind::usage, "--melody, --continue, --vary and --fill are four things; give one of them");
    file += each;
  }
  if (arguments.freedom && arguments.varied.empty())
    throw Error(ErrorKind::usage, "--freedom is that of --vary, which is missing");
  if (arguments.freedom && arguments.sampler.chosen())
    throw Error(ErrorKind::usage, "--freedom says at which level to begin; leave out --sampler and its --levels");
  if (arguments.gap.empty() != arguments.filled.empty())
    throw Error(ErrorKind::usage, "--fill takes a MIDI file and --gap its bars that are written anew; give both");
  if (file.empty()) return {};
  Given given;
  if (!arguments.filled.empty()) given.notes = gap_of(arguments.gap);
  MidiFile read = read_midi(file, info);
  if (!read.remark.empty() && !arguments.quiet) complain(read.remark);
  given.tempo = read.score.tempo;
  if (!arguments.melody.empty())
    given.notes = Harmonise{std::move(read.score)};
  else if (!arguments.continued.empty())
    given.notes = Continue{std::move(read.score)};
  else if (!arguments.varied.empty())
    given.notes = Vary{std::move(read.score), arguments.freedom.value_or(Vary{}.freedom)};
  else
    std::get<Fill>(given.notes).piece = std::move(read.score);
  return given;
}

void run(const Arguments& arguments) {
  const ModelHash hash(arguments.model);
  const auto load_started = Clock::now();
  const Generator generator = arguments.machine.load(arguments.model, arguments.quiet);
  const double load_seconds = seconds_since(load_started);
  const ModelInfo& info = generator.info();
  if (info.data.modality != Modality::music) {
    throw Error(ErrorKind::usage,
                info.name + " makes " + name_of(info.data.modality) + "; compose takes a model of music");
  }
  const Given given = read_given(arguments, info);

  Request request;  // of the sampler alone
  arguments.sampler.apply_to(request, info);
  if (!arguments.sampler.chosen()) request.sampler = {};
  Composition composition{.given = given.notes,
                          .bars = arguments.bars,
                          .sampler = request.sampler,
                          .guidance = request.guidance,
                          .force = request.force};
  const std::int64_t bars = bars_of(composition);
  if (!arguments.key.empty()) composition.key = find_label(arguments.key, info);
  const std::vector<std::uint64_t> seeds = choose_seeds(arguments.seeds, arguments.count, 1);

  const OutputTarget target = find_target(arguments.output, info);
  if (!target.file.empty() && seeds.size() > 1) {
    throw Error(ErrorKind::usage, target.file + " holds one piece, not " + std::to_string(seeds.size()) +
                                      "; give a folder, or a pattern such as out/{seed:06d}.mid");
  }
  Interrupt interrupt;
  NewPaths made;
  if (!target.new_folder.empty()) made.make_folder(target.new_folder);
  require_savable(target.file_of(seeds.front()), info, 1);
  SaveOptions options{.tempo = arguments.tempo ? arguments.tempo : given.tempo, .soundfont = arguments.soundfont};
  require_tempo(options.tempo.value_or(info.data.rate));

  const Provenance provenance(hash);
  Json pieces = Json::array();
  double drawing = 0, writing = 0;
  std::optional<CanvasReport> report;
  bool stopped = false;
  {
    ProgressBar bar(arguments.quiet || arguments.json);
    for (const std::uint64_t seed : seeds) {
      composition.seed = seed;
      const auto started = Clock::now();
      const OnProgress on_progress = on_bar(bar, interrupt);
      Piece piece = compose(generator, composition, on_progress, interrupt.token());
      drawing += seconds_since(started);
      stopped = piece.stopped;
      if (stopped) break;
      report = piece.report;
      const Json facts = facts_of(piece, info);
      options.texts = provenance.texts(facts);
      const auto write_started = Clock::now();
      save(target.file_of(seed), info, {std::move(piece.sample)}, options);
      writing += seconds_since(write_started);
      pieces.push_back({{"seed", seed}, {"key", facts["key"]}, {"file", target.file_of(seed)}});
    }
  }
  if (arguments.json) {
    print_json({{"model", info.name},
                {"sampler", report ? Json(report->sampler) : Json()},
                {"levels", report ? Json(report->levels) : Json()},
                {"nfe", report ? Json(report->nfe) : Json()},
                {"bars", bars},
                {"tempo", options.tempo.value_or(info.data.rate)},
                {"pieces", pieces},
                {"seconds", {{"load", load_seconds}, {"draw", drawing}, {"write", writing}}}});
  } else if (!arguments.quiet && !stopped) {
    const std::string key =
        pieces.size() == 1 && pieces[0]["key"].is_string() ? ", key " + pieces[0]["key"].get<std::string>() : "";
    print_line((pieces.size() == 1 ? "a piece" : std::to_string(pieces.size()) + " pieces") + " of " +
               std::to_string(bars) + " bars" + key + ", by " + info.name + " in " + fixed(drawing, 2) + " s, " +
               std::to_string(report->nfe) + (report->nfe == 1 ? " network call" : " network calls") +
               " a window: " + arguments.output);
  }
  if (stopped) {
    throw StoppedByUser{std::to_string(pieces.size()) + " of " + std::to_string(seeds.size()) + " pieces are done" +
                        (pieces.empty() ? "" : " and kept: " + arguments.output)};
  }
}

}  // namespace

void add_compose(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("compose", "Write music: a new piece, or one to what you have");
  command->add_option("model", arguments->model, "a model file of music, or the name of a shipped model")
      ->required()
      ->type_name("MODEL");
  command
      ->add_option("-o,--output", arguments->output,
                   "a file (.mid; .wav, played; .png, looked at; .npy, .npz), a folder (one file a seed), or a pattern "
                   "such as out/{seed:06d}.mid")
      ->required();
  command->add_option("--melody", arguments->melody, "a MIDI file: its melody stays, and is accompanied")
      ->type_name("M.mid");
  command->add_option("--continue", arguments->continued, "a MIDI file: the piece begins with it, as it is")
      ->type_name("M.mid");
  command->add_option("--vary", arguments->varied, "a MIDI file: the piece is like it")->type_name("M.mid");
  command->add_option("--fill", arguments->filled, "a MIDI file: its bars of --gap are written anew, the others stay")
      ->type_name("M.mid");
  command->add_option("--gap", arguments->gap, "bars of --fill, counted from 1, such as 5-8 or 5");
  command->add_option("--freedom", arguments->freedom, "how far --vary goes, 0 to 1 (default: 0.4)");
  command->add_option("--bars", arguments->bars,
                      "bars of 4/4, 1 to 1024 (default: those of the MIDI file, of --continue twice as many; else 16)");
  command->add_option(
      "--key", arguments->key,
      "a label of the model, such as D or Dm (default: that of the MIDI file; else each seed draws its own)");
  command->add_option("--tempo", arguments->tempo,
                      "quarter notes a minute, 10 to 400 (default: that of the MIDI file; else the model's)");
  command->add_option("-n,--count", arguments->count, "pieces, 1 to 10000000 (default: 1)");
  command->add_option("--seeds", arguments->seeds, "seeds, such as 0-7,99 (default: 0 to count-1)");
  command->add_option("--soundfont", arguments->soundfont,
                      "of .wav: an .sf2 file (default: Debian's, such as that of timgm6mb-soundfont)");
  command->add_flag("--json", arguments->json, "a report on standard output, and nothing else there");
  command->add_flag("--quiet", arguments->quiet, "no progress bar, no remarks and no summary");
  arguments->sampler.add_to(*command);
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep compose songs --bars 16 --key D -o song.mid\n"
      "  onestep compose songs --melody motif.mid -o song.wav");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
