#include "onestep/evaluate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "class_scores.hpp"
#include "features.hpp"
#include "frechet.hpp"
#include "kernel_distance.hpp"
#include "leaving.hpp"
#include "neighbours.hpp"
#include "require.hpp"
#include "threads.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

using torch::Tensor;
using Rows = std::vector<std::int64_t>;

constexpr std::int64_t batch = 256;  // samples a call of the feature network

/// A set, as far as it was added.
struct Side {
  std::string name;
  std::vector<float> waiting;  // samples that are not yet points
  std::int64_t count = 0;
  std::vector<std::optional<std::int64_t>> labels;
  PointSet points;
  MomentSums sums;
  ClassScores scores;
  std::vector<std::int64_t> classes;  // of each sample, the one that it is most likely of
  std::optional<double> agreed;       // of samples of several processes: agreement

  Rows rows() const {
    Rows all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
};

std::map<std::int64_t, Rows> rows_by_label(const Side& side) {
  std::map<std::int64_t, Rows> rows;
  for (std::size_t i = 0; i < side.labels.size(); ++i) {
    if (!side.labels[i]) return {};
    rows[*side.labels[i]].push_back(static_cast<std::int64_t>(i));
  }
  return rows;
}

/// The share of samples that are given the label that they were asked for, where classes are labels.
std::optional<double> agreement(const Side& side, const Rows& rows, std::int64_t label_count) {
  std::int64_t labels = label_count, agreed = 0;
  for (std::size_t i = 0; i < side.labels.size(); ++i) {
    if (!side.labels[i]) return std::nullopt;
    if (label_count == 0) labels = std::max(labels, *side.labels[i] + 1);
  }
  if (rows.empty() || side.scores.class_count() != labels) return std::nullopt;
  for (const std::int64_t row : rows) {
    const auto i = static_cast<std::size_t>(row);
    agreed += side.classes[i] == *side.labels[i];
  }
  return static_cast<double>(agreed) / static_cast<double>(rows.size());
}

void set_floor(std::vector<Measure>& measures, const std::vector<Measure>& of_real) {
  for (Measure& measure : measures) {
    for (const Measure& real : of_real) {
      if (real.name == measure.name) measure.floor = real.value;
    }
  }
}

}  // namespace

struct Evaluator::Parts {
  Parts(const DataSpace& space, const EvaluateOptions& wanted)
      : data(space), options(wanted), network(wanted.features) {
    sides[0].name = "samples";
    sides[1].name = "reference";
    sides[2].name = "floor";
  }

  DataSpace data;
  EvaluateOptions options;
  FeatureNetwork network;
  std::array<Side, 3> sides;
  std::optional<FeatureMoments> given;  // in place of the reference
  std::int64_t dimensions = 0;

  Side& side(EvaluatedSet set) { return sides[static_cast<std::size_t>(set)]; }

  /// The samples as the network takes them, [N, ...shape].
  Tensor input(const Side& side) const {
    std::vector<std::int64_t> shape = data.shape;
    shape.insert(shape.begin(), -1);
    const auto size = static_cast<std::int64_t>(side.waiting.size());
    const Tensor x = torch::from_blob(const_cast<float*>(side.waiting.data()), {size}).view(shape);
    const auto [low, high] = options.features.range.value_or(std::pair(data.range_low, data.range_high));
    const bool as_it_is = low == data.range_low && high == data.range_high;
    if (data.modality != Modality::image && as_it_is) return x;
    Tensor share = (x.to(torch::kFloat64) - data.range_low) / (data.range_high - data.range_low);
    // The bytes of a picture, rounded as files are.
    if (data.modality == Modality::image) share = (share.clamp(0, 1) * 255 + 0.5).floor() / 255;
    return (low + share * (high - low)).to(torch::kFloat32);
  }

  void flush(Side& side) {
    if (side.waiting.empty()) return;
    const torch::InferenceMode guard;
    const LibtorchThreads all(threads());
    const Features features = network.of(input(side));
    side.waiting.clear();
    const std::int64_t width = features.points.size(1);
    if (dimensions == 0) dimensions = width;
    side.sums.add(features.points);
    if (!options.moments_only) side.points.append(features.points);
    side.count += features.points.size(0);
    if (!features.logits.defined()) return;
    side.scores.add(features.logits);
    const Tensor classes = features.logits.argmax(1);
    side.classes.insert(side.classes.end(), classes.const_data_ptr<std::int64_t>(),
                        classes.const_data_ptr<std::int64_t>() + classes.numel());
  }

  void require_two(const Side& side) const {
    if (side.count >= 2) return;
    refuse(side.name + (side.count == 0 ? ": no sample" : ": one sample") +
           "; a distance between sets needs two or more of each");
  }

  BallSizes balls() const { return {options.precision_neighbours, options.density_neighbours}; }
  bool enough(std::int64_t samples, std::int64_t reference) const {
    return samples > options.precision_neighbours &&
           reference > std::max(options.precision_neighbours, options.density_neighbours);
  }
  void require_enough(const Side& samples, const Side& reference) const {
    if (enough(samples.count, reference.count)) return;
    refuse("balls that reach to neighbour " + std::to_string(options.precision_neighbours) +
           " of precision and recall, " + std::to_string(options.density_neighbours) +
           " of density and coverage, need more points than that; " + samples.name + ": " +
           std::to_string(samples.count) + ", " + reference.name + ": " + std::to_string(reference.count) +
           "; give more, or fewer neighbours");
  }
};

Evaluator::Evaluator(const DataSpace& data, const EvaluateOptions& options) {
  require_whole("precision_neighbours", options.precision_neighbours, 1, 1000);
  require_whole("density_neighbours", options.density_neighbours, 1, 1000);
  if (data.shape.empty()) refuse("the shape of the samples is empty");
  for (const std::int64_t side : data.shape) require_whole("a side of the samples", side, 1, 1 << 24);
  if (!(data.range_low < data.range_high)) refuse("the range of the samples must be two numbers, the lower first");
  const FeatureOptions& features = options.features;
  if (features.range) {
    const auto [low, high] = *features.range;
    if (!std::isfinite(low) || !std::isfinite(high) || !(low < high))
      refuse("the range of the feature network must be two finite numbers, the lower first");
  }
  if (data.modality != Modality::image && (features.size || features.channels))
    refuse(std::string("size and channels of a feature network are for pictures, not for ") + name_of(data.modality));
  if (features.size) {
    require_whole("the width for the feature network", features.size->first, 1, 4096);
    require_whole("the height for the feature network", features.size->second, 1, 4096);
  }
  if (features.channels && *features.channels != data.shape[0] && (*features.channels != 3 || data.shape[0] != 1)) {
    refuse("the feature network is to be given " + std::to_string(*features.channels) + " channels, the samples have " +
           std::to_string(data.shape[0]) + "; grey can be repeated to 3, and that is all");
  }
  parts_ = std::make_unique<Parts>(data, options);
}

Evaluator::Evaluator(Evaluator&&) noexcept = default;
Evaluator& Evaluator::operator=(Evaluator&&) noexcept = default;
Evaluator::~Evaluator() = default;

void Evaluator::add(EvaluatedSet set, std::span<const float> values, std::optional<std::int64_t> label) {
  Side& side = parts_->side(set);
  std::size_t size = 1;
  for (const std::int64_t length : parts_->data.shape) size *= static_cast<std::size_t>(length);
  if (values.size() != size)
    refuse("a sample has " + std::to_string(values.size()) + " values, but must have " + std::to_string(size));
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    throw Error(ErrorKind::numerical,
                side.name + ": sample " + std::to_string(side.labels.size()) + " holds NaN or infinity");
  }
  side.waiting.insert(side.waiting.end(), values.begin(), values.end());
  side.labels.push_back(label);
  if (static_cast<std::int64_t>(side.labels.size()) - side.count == batch)
    translated("the features", [&] { parts_->flush(side); });
}

void Evaluator::set_reference(FeatureMoments moments) {
  const auto d = static_cast<std::size_t>(std::max<std::int64_t>(moments.dimensions, 0));
  if (d == 0 || moments.mean.size() != d || moments.covariance.size() != d * d)
    refuse("moments must have a mean of D >= 1 numbers and a covariance of D * D");
  parts_->given = std::move(moments);
}

void Evaluator::sum_over_processes(EvaluatedSet set, const std::function<void(std::span<double>)>& sum) {
  if (!parts_->options.moments_only)
    refuse("what several processes know is added up of moments alone, not of features; set moments_only");
  Side& side = parts_->side(set);
  translated("the moments", [&] {
    parts_->flush(side);
    const auto own = static_cast<double>(side.count);
    const auto share = agreement(side, side.rows(), parts_->options.label_count);
    side.sums.sum_over(sum);
    side.scores.sum_over(sum);
    std::array<double, 3> samples{own, share ? own : 0, share ? own * *share : 0};
    sum(samples);
    side.count = static_cast<std::int64_t>(samples[0]);
    if (samples[0] > 0 && samples[1] == samples[0]) side.agreed = samples[2] / samples[0];
    if (side.count > 0) parts_->dimensions = side.sums.dimensions();
  });
}

FeatureMoments Evaluator::moments(EvaluatedSet set) {
  Side& side = parts_->side(set);
  return translated("the moments", [&] {
    parts_->flush(side);
    parts_->require_two(side);
    return side.sums.moments();
  });
}

Evaluation Evaluator::evaluate(const OnProgress& on_progress, std::stop_token stop) {
  Parts& parts = *parts_;
  Side &samples = parts.sides[0], &reference = parts.sides[1], &floor = parts.sides[2];
  const EvaluateOptions& options = parts.options;
  Evaluation result;
  const auto run = [&] {
    const torch::InferenceMode guard;
    const LibtorchThreads all(threads());
    for (Side& side : parts.sides) parts.flush(side);
    parts.require_two(samples);
    if (parts.given) {
      if (reference.count > 0) refuse("a reference was given twice, as samples and as moments");
      if (parts.given->dimensions != parts.dimensions) {
        refuse("the reference's moments have " + std::to_string(parts.given->dimensions) +
               " dimensions, the features " + std::to_string(parts.dimensions) +
               "; they must be of the same feature network");
      }
      if (options.by_label) refuse("measures by label need the reference's samples, not its moments alone");
    } else {
      parts.require_two(reference);
    }
    const bool has_points = !options.moments_only && !parts.given;
    const bool halves = options.floor && floor.count == 0;
    if (halves && !has_points)
      refuse(
          "a floor is measured between halves of the reference, of which there are moments alone; give real samples "
          "for it");
    if (options.floor && !halves) parts.require_two(floor);

    const Rows all_samples = samples.rows(), all_reference = reference.rows(), all_floor = floor.rows();
    Rows even, odd;
    for (const std::int64_t row : all_reference) (row % 2 == 0 ? even : odd).push_back(row);
    const auto of_samples = options.by_label ? rows_by_label(samples) : std::map<std::int64_t, Rows>{};
    const auto of_reference = options.by_label ? rows_by_label(reference) : std::map<std::int64_t, Rows>{};
    if (options.by_label && (of_samples.empty() || of_reference.empty()))
      refuse("measures by label need the label of every sample, and of every sample of the reference");
    if (options.by_label && options.moments_only)
      refuse("measures by label need the features, of which moments alone are to be kept");

    Progress progress;
    const auto between = [&] {
      if (stop.stop_requested()) throw Stopped{};
      ++progress.calls_done;
      tell(on_progress, progress);
    };
    const auto plan = [&](std::size_t a, std::size_t b) {
      progress.calls += blocks_of_neighbourhood(static_cast<std::int64_t>(a), static_cast<std::int64_t>(b)) +
                        static_cast<std::int64_t>(std::min(a, b) / 1000);
    };
    /// All but the Frechet distance.
    const auto by_points = [&](const Part& a, const Part& b, std::vector<Nearest>* nearest) {
      std::vector<Measure> measures;
      const Estimate kid = kernel_distance(a, b, between);
      measures.push_back({"kid", kid.value, kid.standard_error});
      if (!parts.enough(a.count(), b.count())) return measures;
      const Neighbourhood found = neighbourhood(a, b, parts.balls(), between);
      measures.push_back({"precision", found.precision});
      measures.push_back({"recall", found.recall});
      measures.push_back({"density", found.density});
      measures.push_back({"coverage", found.coverage});
      for (std::size_t i = 0; nearest && i < found.nearest.size(); ++i)
        nearest->push_back({found.nearest[i], found.distance[i]});
      return measures;
    };
    const auto by_classes = [&](const Side& side, std::vector<Measure>& measures) {
      if (side.scores.class_count() == 0) return;
      const Estimate score = side.scores.inception_score();
      measures.push_back({"inception_score", score.value, score.standard_error});
      const auto share = side.agreed ? side.agreed : agreement(side, side.rows(), options.label_count);
      if (share) measures.push_back({"agreement", *share});
    };
    const auto put_first = [](std::vector<Measure>& measures, double frechet) {
      measures.insert(measures.begin(), {"frechet", frechet});
    };

    std::vector<Measure> of_floor;
    if (has_points) {
      const Part all{samples.points, all_samples}, real{reference.points, all_reference};
      parts.require_enough(samples, reference);
      plan(all.rows.size(), real.rows.size());
      if (options.floor && halves) {
        plan(even.size(), odd.size());
        if (!parts.enough(static_cast<std::int64_t>(odd.size()), static_cast<std::int64_t>(odd.size())))
          refuse("half of the reference, " + std::to_string(odd.size()) + " samples, is too little for a floor");
      } else if (options.floor) {
        parts.require_enough(floor, reference);
        plan(all_floor.size(), real.rows.size());
      }
      result.measures = by_points(all, real, &result.nearest);
      if (halves) {
        const Part one{reference.points, even}, other{reference.points, odd};
        of_floor = by_points(one, other, nullptr);
        put_first(of_floor, frechet_distance(moments_of(one), moments_of(other)));
      } else if (options.floor) {
        of_floor = by_points({floor.points, all_floor}, real, nullptr);
      }
      for (const auto& [label, rows] : of_samples) {
        const auto found = of_reference.find(label);
        if (found == of_reference.end() || std::min(rows.size(), found->second.size()) < 2) continue;
        const Part one{samples.points, rows}, other{reference.points, found->second};
        std::vector<Measure> measures = by_points(one, other, nullptr);
        put_first(measures, frechet_distance(moments_of(one), moments_of(other)));
        if (const auto share = agreement(samples, rows, options.label_count)) measures.push_back({"agreement", *share});
        result.by_label[label] = std::move(measures);
      }
    }
    // What is left takes memory of its own, and the points are done with.
    for (Side& side : parts.sides) side.points = {};
    by_classes(samples, result.measures);
    if (options.floor) by_classes(halves ? reference : floor, of_floor);
    const FeatureMoments real = parts.given ? *parts.given : reference.sums.moments();
    put_first(result.measures, frechet_distance(samples.sums.moments(), real));
    if (options.floor && !halves) put_first(of_floor, frechet_distance(floor.sums.moments(), real));
    set_floor(result.measures, of_floor);
    result.samples = samples.count;
    result.reference = reference.count;
    result.floor = floor.count;
    result.dimensions = parts.dimensions;
  };
  try {
    translated("the evaluation", run);
  } catch (const ThrownByCaller& thrown) {
    std::rethrow_exception(thrown.exception);
  } catch (const Stopped&) {
    result = {};
    result.stopped = true;
  }
  return result;
}

}  // namespace onestep
