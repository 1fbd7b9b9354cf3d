#include "onestep/compose.hpp"

#include <algorithm>
#include <cmath>

#include "require.hpp"
#include "roll.hpp"

namespace onestep {
namespace {

/// What stays of a roll: Inpaint of the beginning of a piece.
class KnownNotes {
 public:
  KnownNotes(const ModelInfo& info, std::int64_t sixteenths)
      : data_(info.data), shape_{4, info.data.shape[1], sixteenths} {
    values_ = roll_of_notes({}, shape_, data_.range_low, data_.range_high, data_.roll);
    mask_.assign(values_.size(), 0);
  }

  /// A part as it is, for so many sixteenths: its notes, and that there are no others.
  void keep(const Score& score, Part part, std::int64_t sixteenths) {
    std::vector<Note> notes;
    std::copy_if(score.notes.begin(), score.notes.end(), std::back_inserter(notes),
                 [part](const Note& note) { return note.part == part; });
    const std::vector<float> roll = roll_of_notes(notes, shape_, data_.range_low, data_.range_high, data_.roll);
    const Places places(shape_);
    for (std::int64_t row = 0; row < places.pitches; ++row) {
      for (std::int64_t i = 0; i < sixteenths; ++i) {
        know(places.onset(part, row, i), roll);
        know(places.held(part, row, i), roll);
      }
    }
    // A note that ends with what is known does not go on behind it.
    for (const Note& note : notes) {
      const std::int64_t end = note.start + note.length, row = note.pitch - data_.roll.lowest_pitch;
      if (end == sixteenths && end < places.columns) know(places.held(part, row, end), roll);
    }
  }

  Inpaint edit() && { return {std::move(values_), std::move(mask_)}; }

 private:
  void know(std::size_t place, const std::vector<float>& roll) {
    values_[place] = roll[place];
    mask_[place] = 1;
  }

  const DataSpace& data_;
  std::vector<std::int64_t> shape_;
  std::vector<float> values_, mask_;
};

const Score* given_of(const Composition& composition) {
  if (const auto* harmonise = std::get_if<Harmonise>(&composition.given)) return &harmonise->melody;
  if (const auto* continued = std::get_if<Continue>(&composition.given)) return &continued->motif;
  if (const auto* vary = std::get_if<Vary>(&composition.given)) return &vary->motif;
  return nullptr;
}

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

bool has_notes(const Score& score, Part part) {
  return std::any_of(score.notes.begin(), score.notes.end(), [part](const Note& note) { return note.part == part; });
}

CanvasEdit edit_of(const Composition& composition, const ModelInfo& info, std::int64_t sixteenths) {
  const Rectangle place{0, 0, sixteenths, 1};
  if (const auto* vary = std::get_if<Vary>(&composition.given)) {
    const std::vector<std::int64_t> shape{4, info.data.shape[1], sixteenths};
    return {place,
            Stroke{roll_of_notes(vary->motif.notes, shape, info.data.range_low, info.data.range_high, info.data.roll)}};
  }
  const Score& score = *given_of(composition);
  const std::int64_t length = bars_of(score) * sixteenths_a_bar;
  KnownNotes known(info, sixteenths);
  known.keep(score, Part::voice, has_notes(score, Part::voice) ? length : 0);
  if (std::holds_alternative<Continue>(composition.given) && has_notes(score, Part::piano))
    known.keep(score, Part::piano, length);
  return {place, std::move(known).edit()};
}

void require_composition(const Composition& composition, const ModelInfo& info) {
  if (info.data.modality != Modality::music)
    refuse(info.name + " makes " + name_of(info.data.modality) + "; compose takes a model of music");
  require_whole("bars", composition.bars, 1, most_bars);
  const Score* given = given_of(composition);
  if (!given) return;
  if (given->notes.empty()) refuse("the piece that is given has no notes");
  for (const Note& note : given->notes) {
    require_whole("start of a note", note.start, 0, most_bars * sixteenths_a_bar);
    require_whole("length of a note", note.length, 1, most_bars * sixteenths_a_bar);
  }
  const std::int64_t bars = bars_of(*given);
  if (bars > composition.bars)
    refuse("bars = " + std::to_string(composition.bars) + " must be at least the " + std::to_string(bars) +
           " of what is given");
  if (std::holds_alternative<Harmonise>(composition.given) && !has_notes(*given, Part::voice))
    refuse("the melody has no notes of the voice");
}

}  // namespace

double level_of_freedom(double freedom, const ModelInfo& info) {
  require_within("freedom", freedom, 0, 1);
  // Below the lower level thresholds give the notes back as they are, above the higher one hardly any is left.
  const double range = info.data.range_high - info.data.range_low, lowest = 0.15 * range, highest = 6 * range;
  return std::clamp(lowest * std::pow(highest / lowest, freedom), info.sigma_min, info.sigma_max);
}

Piece compose(const Generator& generator, const Composition& composition, const OnProgress& on_progress,
              std::stop_token stop) {
  const ModelInfo& info = generator.info();
  require_composition(composition, info);
  const Score* given = given_of(composition);
  const std::int64_t sixteenths = composition.bars * sixteenths_a_bar;

  Request request;
  request.seeds = {composition.seed};
  request.sampler = sampler_of(composition, info);
  request.guidance = composition.guidance;
  request.force = composition.force;
  std::optional<std::int64_t> key = composition.key;
  if (!key && given && info.label_count == 24) key = key_of(*given);
  if (key) request.labels = {*key};
  CanvasOptions options;
  if (given) options.edit = edit_of(composition, info, sixteenths);

  const Canvas line(generator, request, options);
  Region region = line.region({0, 0, sixteenths, 1}, on_progress, std::move(stop));
  return {{composition.seed, line.report().label, std::move(region.values), std::move(region.shape)},
          line.report(),
          region.stopped};
}

}  // namespace onestep
