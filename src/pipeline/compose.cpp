#include "onestep/compose.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

#include "require.hpp"
#include "roll.hpp"

namespace onestep {
namespace {

constexpr std::int64_t bars_of_new = 16;

/// The notes that are wanted, at the tempo of all.
Score only(const Score& score, const std::function<bool(const Note&)>& wanted) {
  Score some{{}, score.tempo};
  std::copy_if(score.notes.begin(), score.notes.end(), std::back_inserter(some.notes), wanted);
  return some;
}

bool has_notes(const Score& score, Part part) {
  return std::any_of(score.notes.begin(), score.notes.end(), [part](const Note& note) { return note.part == part; });
}

/// Whether a sixteenth lies in the gap.
bool in_gap(const Fill& fill, std::int64_t sixteenth) {
  return sixteenth >= (fill.first - 1) * sixteenths_a_bar && sixteenth < fill.last * sixteenths_a_bar;
}

/// The notes that count: those that stay, or that a variation is like. None: a new piece.
std::optional<Score> given_of(const Composition& composition) {
  if (const auto* harmonise = std::get_if<Harmonise>(&composition.given))
    return only(harmonise->melody, [](const Note& note) { return note.part == Part::voice; });
  if (const auto* continued = std::get_if<Continue>(&composition.given)) return continued->motif;
  if (const auto* vary = std::get_if<Vary>(&composition.given)) return vary->motif;
  if (const auto* fill = std::get_if<Fill>(&composition.given))
    return only(fill->piece, [fill](const Note& note) { return !in_gap(*fill, note.start); });
  return {};
}

/// What stays of a roll: Inpaint of a piece.
class KnownNotes {
 public:
  KnownNotes(const ModelInfo& info, const Score& score, std::int64_t sixteenths)
      : data_(info.data),
        notes_(score.notes),
        shape_{4, info.data.shape[1], sixteenths},
        values_(roll_of_notes(notes_, shape_, data_.range_low, data_.range_high, data_.roll)),
        mask_(values_.size(), 0) {}

  /// That a part has its notes, and no others where `stays` says so of a sixteenth.
  void keep(Part part, const std::function<bool(std::int64_t)>& stays) {
    const Places places(shape_);
    for (std::int64_t i = 0; i < places.columns; ++i) {
      if (!stays(i)) continue;
      for (std::int64_t row = 0; row < places.pitches; ++row) know(part, row, i);
    }
    for (const Note& note : notes_) {
      if (note.part != part) continue;
      const std::int64_t end = note.start + note.length, row = note.pitch - data_.roll.lowest_pitch;
      for (std::int64_t i = note.start; i < end; ++i) know(part, row, i);
      // It does not go on behind its end, where nothing else may be known.
      if (end < places.columns) know(places.held(part, row, end));
    }
  }

  Inpaint edit() && { return {std::move(values_), std::move(mask_)}; }

 private:
  void know(Part part, std::int64_t row, std::int64_t column) {
    const Places places(shape_);
    know(places.onset(part, row, column));
    know(places.held(part, row, column));
  }
  void know(std::size_t place) { mask_[place] = 1; }

  const DataSpace& data_;
  std::vector<Note> notes_;
  std::vector<std::int64_t> shape_;
  std::vector<float> values_, mask_;
};

/// The levels of the default sampler from here downwards.
std::vector<double> levels_from(double first, const ModelInfo& info) {
  std::vector<double> levels{first};
  if (const auto found = info.levels.find(2); found != info.levels.end()) {
    for (const double level : found->second) {
      if (level < first) levels.push_back(level);
    }
  }
  return levels;
}

Sampler sampler_of(const Composition& composition, const ModelInfo& info) {
  const auto* vary = std::get_if<Vary>(&composition.given);
  if (!std::holds_alternative<std::monostate>(composition.sampler)) return composition.sampler;
  if (vary) return ConsistencySampler{.levels = {.values = levels_from(level_of_freedom(vary->freedom, info), info)}};
  if (info.role != Role::consistency) return {};
  return ConsistencySampler{.levels = {.steps = info.levels.contains(2) ? 2 : 1}};
}

CanvasEdit edit_of(const Composition& composition, const ModelInfo& info, const Score& given, std::int64_t sixteenths) {
  const Rectangle place{0, 0, sixteenths, 1};
  if (std::holds_alternative<Vary>(composition.given)) {
    const std::vector<std::int64_t> shape{4, info.data.shape[1], sixteenths};
    return {place,
            Stroke{roll_of_notes(given.notes, shape, info.data.range_low, info.data.range_high, info.data.roll)}};
  }
  KnownNotes known(info, given, sixteenths);
  if (const auto* fill = std::get_if<Fill>(&composition.given)) {
    const std::int64_t length = bars_of(fill->piece) * sixteenths_a_bar;
    for (const Part part : {Part::voice, Part::piano})
      known.keep(part, [&](std::int64_t sixteenth) { return sixteenth < length && !in_gap(*fill, sixteenth); });
  } else {
    const std::int64_t length = bars_of(given) * sixteenths_a_bar;
    for (const Part part : {Part::voice, Part::piano}) {
      if (has_notes(given, part)) known.keep(part, [length](std::int64_t sixteenth) { return sixteenth < length; });
    }
  }
  return {place, std::move(known).edit()};
}

void require_notes(const Composition& composition, const Score& given) {
  if (const auto* fill = std::get_if<Fill>(&composition.given)) {
    require_whole("first bar of the gap", fill->first, 1, most_bars);
    require_whole("last bar of the gap", fill->last, fill->first, most_bars);
    if (given.notes.empty() && !fill->piece.notes.empty()) {
      refuse("all notes of the piece begin in its bars " + std::to_string(fill->first) + " to " +
             std::to_string(fill->last) + ", which are to be filled; leave it some");
    }
  }
  if (const auto* harmonise = std::get_if<Harmonise>(&composition.given))
    if (given.notes.empty() && !harmonise->melody.notes.empty()) refuse("the melody has no notes of the voice");
  if (given.notes.empty()) refuse("the piece that is given has no notes");
  for (const Note& note : given.notes) {
    require_whole("start of a note", note.start, 0, most_bars * sixteenths_a_bar);
    require_whole("length of a note", note.length, 1, most_bars * sixteenths_a_bar);
  }
}

}  // namespace

std::int64_t bars_of(const Composition& composition) {
  const std::optional<Score> given = given_of(composition);
  std::int64_t least = 1;
  if (given) {
    require_notes(composition, *given);
    least = bars_of(*given);
    if (const auto* fill = std::get_if<Fill>(&composition.given))
      least = std::max({least, bars_of(fill->piece), fill->last});
  }
  const bool goes_on = std::holds_alternative<Continue>(composition.given);
  const std::int64_t bars = composition.bars.value_or(!given    ? bars_of_new
                                                      : goes_on ? std::min(2 * least, std::max(least, most_bars))
                                                                : least);
  require_whole("bars", bars, 1, most_bars);
  if (bars < least) {
    refuse("bars = " + std::to_string(bars) + " must be at least the " + std::to_string(least) + " of what is given");
  }
  return bars;
}

double level_of_freedom(double freedom, const ModelInfo& info) {
  require_within("freedom", freedom, 0, 1);
  // Below the lower level thresholds give the notes back as they are, above the higher one hardly any is left.
  const double range = info.data.range_high - info.data.range_low, lowest = 0.15 * range, highest = 6 * range;
  return std::clamp(lowest * std::pow(highest / lowest, freedom), info.sigma_min, info.sigma_max);
}

Piece compose(const Generator& generator, const Composition& composition, const OnProgress& on_progress,
              std::stop_token stop) {
  const ModelInfo& info = generator.info();
  if (info.data.modality != Modality::music)
    refuse(info.name + " makes " + name_of(info.data.modality) + "; compose takes a model of music");
  const std::int64_t sixteenths = bars_of(composition) * sixteenths_a_bar;
  const std::optional<Score> given = given_of(composition);

  Request request;
  request.seeds = {composition.seed};
  request.sampler = sampler_of(composition, info);
  request.guidance = composition.guidance;
  request.force = composition.force;
  std::optional<std::int64_t> key = composition.key;
  if (!key && given && info.label_count == 24) key = key_of(*given);
  if (key) request.labels = {*key};
  CanvasOptions options;
  if (given) options.edit = edit_of(composition, info, *given, sixteenths);

  const Canvas line(generator, request, options);
  Region region = line.region({0, 0, sixteenths, 1}, on_progress, std::move(stop));
  return {{composition.seed, line.report().label, std::move(region.values), std::move(region.shape)},
          line.report(),
          region.stopped};
}

}  // namespace onestep
