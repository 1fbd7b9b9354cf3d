#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <variant>

#include "onestep/canvas.hpp"
#include "onestep/generator.hpp"
#include "onestep/score.hpp"

namespace onestep {

/// An accompaniment to a melody: the notes of the voice stay, and no others are added to it in their bars.
struct Harmonise {
  Score melody;  ///< The voice's notes alone count; those of the piano are as if they were not there.
};
/// A piece that begins with a motif: in its bars, what has notes of the two parts stays as it is.
struct Continue {
  Score motif;  ///< Whole bars, up to the end of its last note.
};
/// A piece like another: its roll is given noise (SDEdit, Meng et al. 2022) and drawn again.
struct Vary {
  Score motif;           ///< What it is to be like.
  double freedom = 0.4;  ///< How much is drawn anew, in [0, 1].
};

/// A piece of which some bars are written anew. What begins in the others stays, as long as it is.
struct Fill {
  Score piece;             ///< Whole bars, up to the end of its last note.
  std::int64_t first = 1;  ///< Bar of the gap, counted from 1.
  std::int64_t last = 1;   ///< As first: the gap's last bar. At least first, at most 1024.
};

/// A piece that is to be drawn.
struct Composition {
  std::variant<std::monostate, Harmonise, Continue, Vary, Fill> given = {};  ///< Empty: a new piece.
  /// In [1, 1024], at least those of what is given. None: as many as that; twice as many for Continue, 16 for a new
  /// piece.
  std::optional<std::int64_t> bars = {};
  std::uint64_t seed = 0;  ///< Another piece with each.
  /// The label. None: the key of what is given (of Fill, of what stays), where the model's 24 labels are keys, as
  /// key_of counts them; else the seed draws one.
  std::optional<std::int64_t> key = {};
  /// Empty: ConsistencySampler, of two steps where the model recommends levels for them; of Vary, from the level that
  /// `freedom` stands for downwards.
  Sampler sampler = {};
  std::optional<double> guidance = {};  ///< As of Request.
  bool force = false;                   ///< As of Request.
};

/// A piece that was drawn.
struct Piece {
  Sample sample;         ///< A roll [4, pitches, 16 bars], which save() writes. Values empty when stopped.
  CanvasReport report;   ///< Of the line that the piece is the beginning of.
  bool stopped = false;  ///< On request, before it was done.
};

/// A piece of any length, of overlapping windows of a model of music (Canvas). Given notes are in it, all of them, as
/// long as they were. Throws Error as Canvas and Canvas::region do, and usage on what breaks a rule here, such as a
/// note that the model has no pitch for.
Piece compose(const Generator& generator, const Composition& composition, const OnProgress& on_progress = {},
              std::stop_token stop = {});

/// How many bars it will have: those asked for, or what they are without. Throws Error (usage) as compose.
std::int64_t bars_of(const Composition& composition);

/// The noise level at which a variation of this freedom begins, in [0, 1].
double level_of_freedom(double freedom, const ModelInfo& info);

}  // namespace onestep
