#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "onestep/save.hpp"

namespace onestep {

/// Pixels of a plane, or, of a sound, numbers of a line, of music, sixteenths: y is 0 there, and height 1.
struct Rectangle {
  std::int64_t x = 0, y = 0;           ///< Of its upper left corner, in [-2^31, 2^31).
  std::int64_t width = 0, height = 1;  ///< >= 1, and all of it within the coordinates' range.
};

/// Labels that are painted on a plane: a small map, each of whose labels is that of some pixels.
struct LabelMap {
  std::vector<std::int64_t> labels;    ///< [height, width] in C order, each in [0, label_count).
  std::int64_t width = 0, height = 0;  ///< >= 1.
  Rectangle place;                     ///< Over which it is spread; around it, what is at its edges goes on.
};

/// Some of a plane that is known, or that the plane is to be like.
struct CanvasEdit {
  Rectangle place;  ///< Where. With a period: within [0, period).
  /// Inpaint or Stroke, of the place's shape, which Region::shape says. Beyond the place nothing is known, or the guide
  /// is 0.
  Edit edit;
};

/// How a plane is kept and cut.
struct CanvasOptions {
  /// Pixels after which the plane begins anew, which makes a picture of that size seamless; 0: it goes on for ever. Of
  /// a sound and of music, the width alone. CanvasReport says what they must be multiples of.
  std::int64_t period_width = 0, period_height = 0;
  /// Bytes of finished tiles that are kept, >= 0. The same values come with any; with few, tiles are drawn again.
  std::size_t cache_bytes = std::size_t{256} << 20;
  /// Side of the tiles that a model with a halo draws, a multiple of the model's; 0: 640, or three times the halo if
  /// that is more. Another side gives the same values but for rounding.
  std::int64_t tile = 0;
  /// In place of the request's label, for models with a halo whose labels may be a map (ConditionInfo::map).
  std::optional<LabelMap> label_map = {};
  /// With ConsistencySampler alone. What is known stands in every region as it is.
  std::optional<CanvasEdit> edit = {};
};

/// A part of a plane.
struct Region {
  std::vector<std::int64_t> shape;  ///< [C, height, width]; video: [C, T, height, width]; audio: [C, width];
                                    ///< music: [4, pitches, width].
  std::vector<float> values;        ///< In C order, nominally in the model's range, not clamped. Empty when stopped.
  bool stopped = false;             ///< On request, before all of it was drawn.
};

/// What a canvas does.
struct CanvasReport {
  std::string sampler;                     ///< A name of samplers(), or that of a CustomSampler.
  std::vector<double> levels;              ///< The noise levels that are used, falling.
  std::int64_t nfe = 0;                    ///< Network calls a tile or window, without those that its neighbours need.
  std::optional<std::int64_t> label = {};  ///< None for an unconditional model.
  /// Whether each tile is drawn from its own noise and a margin, which is cut off: exact, for models with a halo. Else
  /// windows of the model's own size overlap by half, and every level is their weighted mean (Bar-Tal et al. 2023).
  bool exact = false;
  bool whole_period = false;                         ///< All of a period is drawn when some of it is first asked for.
  std::int64_t window_width = 0, window_height = 0;  ///< Of one network call's sample.
  std::int64_t margin = 0;                           ///< Of it, cut off at each side.
  std::int64_t tile_width = 0, tile_height = 0;      ///< Of what one network call draws, on a grid through (0, 0).
  std::int64_t multiple_width = 1, multiple_height = 1;  ///< What a period must be a multiple of.
};

/// An endless plane (or line, of sound and music) of one model, seed, label and sampler. A pixel depends on these, on
/// its place and on the period alone: the same bits however the plane is cut into regions, tiles and calls, in any
/// order, by any number of threads. Memory is bounded by the options' cache and what a call works on.
///
/// A pixel's noise belongs to its place (docs/design.md, "Noise"). A further step of the sampler needs the last one's
/// values around a tile, which are drawn first; so that an endless plane takes 8 network calls at most. With a period
/// every sampler runs, and all of the plane is drawn at once where there are more calls than 8.
class Canvas {
 public:
  /// The request's seeds: one, and labels: one or none, which leaves it to the seed. It has no edit (the options may),
  /// no noise and no sizes; batch is not looked at. The generator's model lives on in the canvas. Throws Error (usage)
  /// on what breaks a rule, on a model with a decoder or with a picture for its condition; memory.
  Canvas(const Generator& generator, const Request& request, const CanvasOptions& options = {});
  Canvas(Canvas&&) noexcept;             ///< What was moved from may be assigned to or destroyed, and nothing else.
  Canvas& operator=(Canvas&&) noexcept;  ///< As of the constructor.
  ~Canvas();

  const ModelInfo& info() const noexcept;       ///< Of the model.
  const CanvasReport& report() const noexcept;  ///< How the plane is drawn; nothing is drawn to say it.

  /// The values of a part of the plane. May be called by several threads at once; what two of them need is drawn once.
  /// Throws Error (usage) on a rectangle that breaks a rule, NumericalError, Error of the kinds model and memory. A
  /// stop is obeyed between network calls. `on_progress` counts network calls, of as many as are needed if the cache
  /// has none, and is called from the calling thread; what it throws passes through.
  Region region(const Rectangle& rectangle, const OnProgress& on_progress = {}, std::stop_token stop = {}) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Writes a part of a plane to a .png, .jpg, .webp or .npy file, [1, C, H, W] there, whole or not at all. Drawn and
/// written band by band: memory grows with its width, and not with its height, but for .webp, which is packed as a
/// whole. Sides at most 2^31-1; of .jpg 65500, of .webp 16383. False: stopped, nothing was written. Throws Error as
/// region and save do; usage for models of sound and clips, and for options that make a grid.
bool save_region(const std::string& file, const Canvas& canvas, const Rectangle& rectangle,
                 const SaveOptions& options = {}, const OnProgress& on_progress = {}, std::stop_token stop = {});

/// The bands in which save_region draws and writes a part of a plane, from top to bottom: cut where its tiles are.
/// Several processes can each draw some of them.
std::vector<Rectangle> bands_of(const Canvas& canvas, const Rectangle& rectangle);

/// save_region of what was drawn before: band(i) returns the values of the i-th of bands_of, [C, height, width] in C
/// order, as Canvas::region made them. The same bytes. Throws Error as save_region, usage for another number of values.
void save_bands(const std::string& file, const Canvas& canvas, const Rectangle& rectangle,
                const std::function<std::vector<float>(std::size_t i)>& band, const SaveOptions& options = {});

/// Throws Error, usage or file, unless save_region could write there: to be asked before anything is drawn.
void require_savable(const std::string& file, const Canvas& canvas, const Rectangle& rectangle);

}  // namespace onestep
