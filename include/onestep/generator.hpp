#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "onestep/engine_report.hpp"
#include "onestep/error.hpp"
#include "onestep/load_options.hpp"
#include "onestep/model_info.hpp"
#include "onestep/precision.hpp"
#include "onestep/samplers.hpp"
#include "onestep/shipped_models.hpp"

namespace onestep {

// Editing without training (Song et al. 2023, Algorithm 4): what is known stays, the model draws the rest. Values in C
// order, in the model's range; every sample of a request is edited alike, and differs by its seed.

/// Known values stay, the others are drawn.
struct Inpaint {
  std::vector<float> sample;  ///< Of the model's shape; what stands where the mask is 0 is not looked at.
  std::vector<float> mask;    ///< Of the model's shape: 1 where the value is known, 0 where it is to be drawn.
};
/// The colours of a picture of which the luma is known. For models of 3 channels.
struct Colorize {
  std::vector<float> luma;  ///< Of the model's shape with one channel: .299 red + .587 green + .114 blue.
};
/// A picture of which the mean of every square of factor x factor pixels is known.
struct Upscale {
  std::vector<float> means;  ///< [C, H / factor, W / factor].
  int factor = 2;            ///< 2 or more, a divisor of H and W.
};
/// A picture like a rough one (SDEdit, Meng et al. 2022): noise of the first level is added to the guide. The higher
/// the level, the freer the result.
struct Stroke {
  std::vector<float> guide;  ///< Of the model's shape.
};
/// A noisy picture without its noise, which has the first level (Song et al. 2023, section 6.3).
struct Denoise {
  std::vector<float> sample;  ///< Of the model's shape: data + sigma * unit Gaussian.
};
using Edit = std::variant<std::monostate, Inpaint, Colorize, Upscale, Stroke, Denoise>;  ///< Empty: none.

/// What to draw.
struct Request {
  std::vector<std::uint64_t> seeds;  ///< One sample a seed; not empty. A seed's sample never depends on the others.
  std::vector<std::int64_t> labels;  ///< In turn over the seeds, in [0, label_count). Empty: each seed draws its own.
  Sampler sampler;                   ///< With its levels and options. Empty: what suits the model.
  Edit edit = {};  ///< With ConsistencySampler alone. Several levels put what is drawn in keeping with what is known.
  /// Guidance scale, >= 0. For a model with a guidance input, that input (default: the model's). For any other with a
  /// null label, classifier-free guidance (Ho & Salimans 2022), two network calls in one (default: 1, none).
  std::optional<double> guidance;
  std::int64_t batch = 64;  ///< Samples a network call, >= 1.
  bool force = false;       ///< Run a sampler that does not suit the model's role.
  /// Free sizes of the sample by their names, such as {"H", 64}; those that are not here have their defaults.
  std::map<std::string, std::int64_t> sizes = {};
  /// For a model that takes text: the numbers of each text's tokens, in turn over the seeds. Empty: no text.
  std::vector<std::vector<std::int64_t>> tokens = {};
  /// The model's other conditions by their names, for all seeds alike: of a scalar one number, of a vector or an image
  /// its values in C order.
  std::map<std::string, std::vector<float>> conditions = {};
  /// In place of labels, for a model whose labels may be a map (ConditionInfo::map): one for each pixel of the sample,
  /// [H, W] in C order, the same for all seeds. Empty: labels.
  std::vector<std::int64_t> label_map = {};
  /// Unit Gaussians in place of the seeds' own: [draws, seeds, ...shape] in C order, the shape being that of the
  /// model's sample space. Empty: from the seeds.
  std::vector<float> noise;
};

/// One sample, as the sampler or the decoder left it: float32 in C order, nominally in the model's range, not clamped.
struct Sample {
  std::uint64_t seed = 0;                ///< Of the request, from which its noise was made.
  std::optional<std::int64_t> label;     ///< None for an unconditional model.
  std::vector<float> values;             ///< As many as the shape has places.
  std::vector<std::int64_t> shape = {};  ///< Of the values: that of the model's data space, at the sizes asked for.
};

/// What was done.
struct Report {
  std::string sampler;                   ///< A name of samplers().
  std::vector<double> levels = {};       ///< The noise levels that were used.
  std::int64_t nfe = 0;                  ///< Network calls a sample.
  std::vector<std::int64_t> shape = {};  ///< Of one sample's values.
  std::int64_t count = 0;                ///< Samples finished.
  double seconds = 0;                    ///< Spent sampling, without the sink.
  bool stopped = false;                  ///< Stopped on request before all were done.
};
/// What Generator::generate returns.
struct Result {
  std::vector<Sample> samples;  ///< In the order of the request's seeds; those finished, when stopped.
  Report report;                ///< Of all of them.
};

/// How far a call of generate is.
struct Progress {
  std::int64_t calls_done = 0, calls = 0;      ///< Network calls: made so far, and in all.
  std::int64_t samples_done = 0, samples = 0;  ///< Samples: finished so far, and in all.
  /// After a network call: what the samples of the batch would be if it were the last, one after the other in C order.
  /// May be called within on_progress, and costs what bringing them here costs. Else empty; of a canvas always.
  std::function<std::vector<float>()> preview = {};
};

/// NaN or infinity in some samples; all others were finished.
class NumericalError : public Error {
 public:
  NumericalError(const std::string& message, std::vector<std::uint64_t> seeds);  ///< seeds: those of the samples.
  const std::vector<std::uint64_t>& seeds() const noexcept { return seeds_; }    ///< Of the samples that failed.

 private:
  std::vector<std::uint64_t> seeds_;
};

/// One claim of a model file, tried out.
struct Check {
  std::string claim;   ///< In words.
  bool holds = false;  ///< Whether what was found is what the claim allows.
  std::string found;   ///< What was measured, and what it was allowed to be.
};

/// Called after every network call, and when the samples of a batch are finished, from the thread that called generate.
using OnProgress = std::function<void(const Progress&)>;
/// Takes each sample as it is finished, in the order of the seeds, from the thread that called generate.
using Sink = std::function<void(Sample&&)>;

/// A model, ready to draw samples. Const calls may come from several threads at once. What is forbidden, for nothing
/// can check it: to destroy or to move a Generator while a call is at work in it, and to call one that was moved from,
/// save to assign to it or to destroy it.
class Generator {
 public:
  /// model: a file, a model folder, or the name of a shipped model (shipped_models). Throws Error (model); Error
  /// (usage) for a device that this machine lacks.
  static Generator load(const std::string& model, const LoadOptions& options = {});

  Generator(Generator&&) noexcept;             ///< What was moved from may be assigned to or destroyed, no more.
  Generator& operator=(Generator&&) noexcept;  ///< As of the constructor.
  ~Generator();

  const ModelInfo& info() const noexcept;  ///< What the model file says of itself.
  /// The model file that was loaded.
  const std::string& file() const noexcept;

  /// What the network is computed in, and why.
  const PrecisionInUse& precision() const noexcept;

  /// What generate would do, without a network call: sampler, levels and NFE of the report. Throws Error (usage) on a
  /// request that breaks a rule.
  Report plan(const Request& request) const;

  /// Samples in memory. Throws Error (usage) on a request that breaks a rule, before any network call; NumericalError
  /// on NaN or infinity; Error of the kinds model and memory. A stop is obeyed between network calls; samples of an
  /// unfinished batch are dropped. What `on_progress` or `sink` throws passes through as it is.
  Result generate(const Request& request, const OnProgress& on_progress = {}, std::stop_token stop = {}) const;

  /// The same, handing over each sample as its batch ends: memory does not grow with the number of seeds.
  Report generate_each(const Request& request, const Sink& sink, const OnProgress& on_progress = {},
                       std::stop_token stop = {}) const;

  /// Runs the model to test what its file claims: finite numbers at the smallest and the largest noise, the same output
  /// alone and in a batch; for a consistency model, the identity at the boundary and self-consistency along a
  /// trajectory.
  std::vector<Check> check() const;

  /// How the network is run here, with the time of each of its steps in a call of `batch` samples, in [1, 65536].
  /// Throws Error.
  EngineReport engine(std::int64_t batch = 1) const;

 private:
  friend class Canvas;  // in which the model lives on
  struct Parts;
  explicit Generator(std::shared_ptr<Parts> parts);
  std::shared_ptr<Parts> parts_;
};

/// The file of a model (a file or a shipped name) and what it says of itself, read without running its code.
/// Throws Error (model).
std::pair<std::string, ModelInfo> describe_model(const std::string& model);

/// CPU threads of all network calls of this process, in [1, 1024]; calls at the same time share them. Default:
/// OMP_NUM_THREADS, or one for each core of the affinity mask, no more than the CPU quota of the control groups. A
/// child of fork() starts its own; docs/design.md, "Threads", says what else there is to know.
void set_threads(int threads);

}  // namespace onestep
