#include "onestep/tune.hpp"

#include <cmath>
#include <limits>

#include "features.hpp"
#include "frechet.hpp"
#include "golden_section.hpp"
#include "leaving.hpp"
#include "model_file.hpp"
#include "output_file.hpp"
#include "require.hpp"
#include "sampler_plan.hpp"
#include "shipped_models.hpp"
#include "sliced_wasserstein.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

/// Draws the same seeds again and again, and says how far they are from the reference.
class Judge {
 public:
  Judge(const Generator& generator, const std::vector<float>& reference, const TuneOptions& options,
        const OnProgress& on_progress, std::stop_token stop)
      : generator_(generator),
        features_({.network = options.features}),
        by_features_(!options.features.empty()),
        on_progress_(on_progress),
        stop_(std::move(stop)) {
    reference_ = points(reference);
    if (by_features_) reference_moments_ = moments_of(reference_);
    request_.seeds = options.seeds;
    request_.batch = options.batch;
    const int sets = options.evaluations + 1;  // and one for the levels that the model had
    const auto count = static_cast<std::int64_t>(options.seeds.size());
    const std::int64_t batches = (count + options.batch - 1) / options.batch;
    progress_.calls = batches;  // one step
    progress_.samples = count;
    for (int steps = 2; steps <= options.steps; ++steps) {
      progress_.calls += steps * sets * batches;
      progress_.samples += sets * count;
    }
  }

  double distance(Levels levels) {
    request_.sampler = ConsistencySampler{.levels = std::move(levels)};
    const Progress before = progress_;
    std::vector<float> values;
    const Report report = generator_.generate_each(
        request_, [&](Sample&& sample) { values.insert(values.end(), sample.values.begin(), sample.values.end()); },
        [&](const Progress& now) {
          progress_.calls_done = before.calls_done + now.calls_done;
          progress_.samples_done = before.samples_done + now.samples_done;
          if (on_progress_) on_progress_(progress_);
        },
        stop_);
    if (report.stopped) throw Stopped{};
    return translated("the distance to the reference", [&] {
      const torch::Tensor drawn = points(values);
      return by_features_ ? frechet_distance(moments_of(drawn), reference_moments_)
                          : sliced_wasserstein(drawn, reference_);
    });
  }

 private:
  torch::Tensor points(const std::vector<float>& values) const {
    std::vector<std::int64_t> shape = generator_.info().data.shape;
    shape.insert(shape.begin(), -1);
    return features_
        .of(torch::from_blob(const_cast<float*>(values.data()), {static_cast<std::int64_t>(values.size())}).view(shape))
        .points.clone();
  }

  static FeatureMoments moments_of(const torch::Tensor& points) {
    MomentSums sums;
    sums.add(points);
    return sums.moments();
  }

  const Generator& generator_;
  FeatureNetwork features_;
  bool by_features_;
  OnProgress on_progress_;
  std::stop_token stop_;
  torch::Tensor reference_;
  FeatureMoments reference_moments_;
  Request request_;
  Progress progress_;
};

}  // namespace

Tuned tune(const Generator& generator, const std::vector<float>& reference, const TuneOptions& options,
           const OnProgress& on_progress, std::stop_token stop) {
  const ModelInfo& info = generator.info();
  if (info.role != Role::consistency) {
    refuse(info.name + " is no consistency model: it has no recommended levels to find");
  }
  require_whole("steps", options.steps, 2, 16);
  require_whole("evaluations", options.evaluations, 2, 100);
  require_whole("batch", options.batch, 1, 1 << 20);
  std::size_t size = 1;
  for (const std::int64_t side : info.data.shape) size *= static_cast<std::size_t>(side);
  if (reference.size() % size != 0 || reference.size() < 2 * size) {
    refuse("the reference has " + std::to_string(reference.size()) + " values; it must be two samples or more of " +
           std::to_string(size));
  }
  require_finite("reference", reference);
  if (options.seeds.size() < 2) refuse("seeds has fewer than two: a distance between sets needs more");

  Tuned tuned;
  tuned.distance = options.features.empty() ? "sliced_wasserstein" : "frechet";
  try {
    Judge judge(generator, reference, options, on_progress, std::move(stop));
    std::vector<double> found{info.sigma_max};
    tuned.one_step = judge.distance({.values = found});
    for (int steps = 2; steps <= options.steps; ++steps) {
      tuned.before[steps] = judge.distance({.steps = steps});
      double least = std::numeric_limits<double>::infinity();
      const auto distance_at = [&](double log_level) {
        std::vector<double> levels = found;
        levels.push_back(std::exp(log_level));
        const double distance = judge.distance({.values = levels});
        tuned.trials.push_back({steps, levels.back(), distance});
        least = std::min(least, distance);
        return distance;
      };
      const double level =
          golden_section(distance_at, std::log(info.sigma_min), std::log(found.back()), options.evaluations);
      found.push_back(std::exp(level));
      tuned.levels[steps] = found;
      tuned.distances[steps] = least;
    }
  } catch (const Stopped&) {
    tuned.stopped = true;
  }
  return tuned;
}

void write_levels(const std::string& model, const std::map<int, std::vector<double>>& levels,
                  const std::string& output) {
  const std::string file = find_model(model);
  const ModelInfo info = read_model_info(file);
  for (const auto& [steps, values] : levels) {
    if (steps < 1 || values.size() != static_cast<std::size_t>(steps)) {
      refuse("levels of " + std::to_string(steps) + " steps are " + std::to_string(values.size()) +
             "; they must be as many as the steps");
    }
    plan_sampler(ConsistencySampler{.levels = {.values = values}}, info, /*force=*/true);
  }
  const std::string bytes = with_levels(file, levels);
  write_file(output, std::as_bytes(std::span(bytes)));
}

}  // namespace onestep
