#include "pieces.hpp"

#include <algorithm>
#include <chrono>

#include "bounded_json.hpp"
#include "midi.hpp"
#include "onestep/compose.hpp"
#include "onestep/request_json.hpp"
#include "provenance.hpp"
#include "seconds_since.hpp"
#include "terminal.hpp"
#include "wire.hpp"

namespace onestep {
namespace {

constexpr int longest_sound = 600;  // seconds

/// A piece that is asked for.
struct Asked {
  const ServedModel* model;
  Composition composition;
  MidiFile motif = {};  ///< What is given; without notes where nothing is.
  double tempo = 0;
  std::string flags =
      {};  ///< Of `onestep compose`, where what is given is in motif.mid: what a label and seeds don't say.
};

const ModelInfo& info_of(const Asked& asked) { return asked.model->generator.info(); }

Note note_of(Json note, const std::string& name) {
  if (!note.is_object()) refuse_field(name, note, "an object of pitch, start, length and, of the piano, part");
  const Json given = note;
  const auto pitch = take_whole(note, "pitch", 0, 127);
  const auto start = take_whole(note, "start", 0, most_bars * sixteenths_a_bar - 1);
  const auto length = take_whole(note, "length", 1, most_bars * sixteenths_a_bar);
  const std::string part = take_text(note, "part").value_or("voice");
  if (!pitch || !start || !length || !note.empty() || (part != "voice" && part != "piano"))
    refuse_field(name, given, "an object of pitch, start, length and part, which is voice or piano");
  return {part == "voice" ? Part::voice : Part::piano, *start, *length, static_cast<int>(*pitch)};
}

/// A MIDI file in base64, or an array of notes.
MidiFile motif_of(const Json& motif, const ModelInfo& info) {
  if (motif.is_string()) {
    const std::vector<std::byte> bytes = from_base64(motif.get<std::string>(), "motif");
    return parse_midi(bytes, "motif", {info.data.roll.lowest_pitch, info.data.shape[1]});
  }
  if (!motif.is_array() || motif.empty()) refuse_field("motif", motif, "a MIDI file in base64, or an array of notes");
  MidiFile read;
  read.score.tempo = info.data.rate;
  for (std::size_t i = 0; i < motif.size(); ++i)
    read.score.notes.push_back(note_of(motif[i], "motif[" + std::to_string(i) + "]"));
  const std::size_t doubled = settle(read.score.notes);
  if (doubled > 0)
    read.remark =
        "motif: " + std::to_string(doubled) + (doubled == 1 ? " note" : " notes") + " at the place of another left out";
  return read;
}

const ServedModel& take_model(Json& body, const ServedModels& models) {
  if (body.contains("model")) return models.take(body);
  const ServedModel* model = models.first_of(Modality::music);
  if (!model) throw Refusal{422, "no model of music is loaded here"};
  return *model;
}

/// What is given, by the task.
void take_given(Json& body, Asked& asked) {
  const std::string task = take_text(body, "task").value_or("new");
  const std::optional<Json> motif = take(body, "motif");
  const std::optional<double> freedom = take_number(body, "freedom", 0, 1);
  const auto gap = take_wholes(body, "gap", 2, 1, most_bars);
  if (freedom && task != "vary") throw Refusal{422, "freedom: it is that of the task vary"};
  if (gap.has_value() != (task == "fill"))
    throw Refusal{422, "gap: the first and the last bar that the task fill writes anew, and no other task"};
  if (freedom && (body.contains("sampler") || body.contains("steps") || body.contains("levels")))
    throw Refusal{422, "freedom says at which level to begin; leave out sampler, steps and levels"};
  if (motif.has_value() == (task == "new"))
    throw Refusal{422, task == "new" ? "motif: a new piece has none; give a task"
                                     : "motif is missing: the notes to " + shown(task)};
  if (task == "new") return;
  asked.motif = motif_of(*motif, info_of(asked));
  const Score& score = asked.motif.score;
  if (task == "harmonise") {
    asked.composition.given = Harmonise{score};
    asked.flags = " --melody motif.mid";
  } else if (task == "continue") {
    asked.composition.given = Continue{score};
    asked.flags = " --continue motif.mid";
  } else if (task == "vary") {
    asked.composition.given = Vary{score, freedom.value_or(Vary{}.freedom)};
    asked.flags = " --vary motif.mid";
    if (freedom) asked.flags += " --freedom " + number_text(*freedom);
  } else if (task == "fill") {
    asked.composition.given = Fill{score, (*gap)[0], (*gap)[1]};
    asked.flags = " --fill motif.mid --gap " + std::to_string((*gap)[0]) + "-" + std::to_string((*gap)[1]);
  } else {
    throw Refusal{422, "task = " + shown(task) + " is unknown; there are new, harmonise, continue, vary, fill"};
  }
}

Asked read(Json body, const ServedModels& models) {
  Asked asked{.model = &take_model(body, models), .composition = {}};
  const ModelInfo& info = info_of(asked);
  if (info.data.modality != Modality::music)
    throw Refusal{422, info.name + " makes " + name_of(info.data.modality) + ", not music"};
  take_given(body, asked);
  Composition& composition = asked.composition;
  composition.bars = take_whole(body, "bars", 1, most_bars);
  if (const std::optional<Json> key = take(body, "key")) {
    if (!key->is_string() && !key->is_number_unsigned()) refuse_field("key", *key, "the name or the number of a key");
    composition.key = find_label(key->is_string() ? key->get<std::string>() : key->dump(), info);
  }
  const std::optional<double> tempo = take_number(body, "tempo", slowest_tempo, fastest_tempo);
  asked.tempo = tempo.value_or(asked.motif.score.notes.empty() ? info.data.rate : asked.motif.score.tempo);
  // A request's fields, of which a piece has the sampler's and one seed.
  for (const char* other : {"seeds", "count", "labels", "batch", "sizes", "tokens", "conditions", "label_map"}) {
    if (body.contains(other)) throw Refusal{422, std::string(other) + " is an unknown field; a piece has seed and key"};
  }
  body["seeds"] = Json::array({take(body, "seed").value_or(0)});
  const Request request = request_of_json(body.dump(-1, ' ', false, Json::error_handler_t::replace), info);
  composition.seed = request.seeds.front();
  composition.sampler = request.sampler;
  composition.guidance = request.guidance;
  composition.force = request.force;
  asked.flags += " --bars " + std::to_string(bars_of(composition)) + " --tempo " + number_text(asked.tempo) +
                 sampler_flags(request, info);
  return asked;
}

std::string command_of(const Asked& asked, const Sample& sample) {
  const std::string seed = std::to_string(sample.seed);
  std::string command = "onestep compose " + quoted(info_of(asked).name) + " --seeds " + seed;
  if (sample.label) command += " --key " + quoted(label_text(*sample.label, info_of(asked)));
  return command + asked.flags + " -o " + seed + ".mid";
}

/// What is answered, with a piece that is done.
Json answer_of(const Asked& asked, const Piece& piece, const std::string& command, const SaveOptions& save,
               double seconds) {
  Json motif;
  if (const Score& score = asked.motif.score; !score.notes.empty()) {
    motif = {{"notes", notes_json(score.notes)},
             {"mid", base64(encode_midi({score.notes, asked.tempo}))},
             {"remark", asked.motif.remark}};
  }
  return {{"sample", sample_json(piece.sample, *asked.model, command, save)},
          {"bars", piece.sample.shape[2] / sixteenths_a_bar},
          {"tempo", asked.tempo},
          {"motif", std::move(motif)},
          {"report",
           {{"sampler", piece.report.sampler},
            {"levels", piece.report.levels},
            {"nfe", piece.report.nfe},
            {"seconds", seconds},
            {"shape", piece.sample.shape}}}};
}

/// A sound takes memory and time by its length.
void require_short(const Asked& asked) {
  const std::int64_t bars = bars_of(asked.composition);
  const double lasts = static_cast<double>(bars) * 4 * 60 / asked.tempo;
  if (lasts <= longest_sound) return;
  throw Refusal{422, std::to_string(bars) + " bars at tempo " + number_text(asked.tempo) + " last " + fixed(lasts, 0) +
                         " s: a sound has at most " + std::to_string(longest_sound) +
                         " here; `onestep compose` writes longer ones"};
}

}  // namespace

void Pieces::compose(const http::Request& request, http::Response& response) {
  const Asked asked = read(parse_request(request.body), models_);
  const ModelInfo& info = info_of(asked);
  std::vector<std::string> offered = media_types(info, 1);
  offered.insert(offered.begin() + 1, "application/json");
  const std::string kind = liked_best(request.get_header_value("Accept"), offered, "a piece");
  if (kind == "audio/wav") require_short(asked);

  turns_.take([&](const OnProgress& on_progress, std::stop_token stop) {
    const auto started = std::chrono::steady_clock::now();
    const Piece piece = onestep::compose(asked.model->generator, asked.composition, on_progress, std::move(stop));
    if (piece.stopped) return false;
    const double seconds = seconds_since(started);
    const std::string command = command_of(asked, piece.sample);
    SaveOptions save{.texts = asked.model->provenance.texts(facts_of(piece, info)), .tempo = asked.tempo};
    save.texts.emplace_back("onestep command", command);
    if (kind == "application/json") {
      response.set_content(json_text(answer_of(asked, piece, command, save, seconds)), kind);
    } else {
      response.set_header("X-Onestep-Command", command);
      if (!asked.motif.remark.empty()) response.set_header("X-Onestep-Remark", shown(asked.motif.remark));
      response.set_content(text_of(encode(file_kind_of(kind), info, {piece.sample}, save)), kind);
    }
    return true;
  });
}

}  // namespace onestep
