#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "onestep/features.hpp"
#include "onestep/generator.hpp"

namespace onestep {

/// What an evaluation compares.
enum class EvaluatedSet {
  samples,    ///< What is measured.
  reference,  ///< Real ones.
  floor,      ///< Other real ones: what a perfect model would get.
};

/// How samples are measured.
struct EvaluateOptions {
  FeatureOptions features;       ///< What makes points of samples.
  int precision_neighbours = 3;  ///< k of precision and recall, in [1, 1000].
  int density_neighbours = 5;    ///< k of density and coverage, in [1, 1000].
  /// The Frechet distance alone, and what a classifier says: memory does not grow with the samples. Else all features
  /// are kept, 4 D bytes a sample.
  bool moments_only = false;
  bool by_label = false;  ///< Also for the samples of each label against the reference of that label.
  /// Also for the set `floor` in place of the samples; where it has none, for half of the reference against the other
  /// half.
  bool floor = false;
  /// How many labels there are: where the feature network tells as many classes apart, they are taken to be these. 0:
  /// the largest label and one.
  std::int64_t label_count = 0;
};

/// A figure of a set of samples.
struct Measure {
  /// `frechet`, the Frechet distance of Gaussians fitted to the features (Heusel et al. 2017); `kid`, the kernel
  /// distance (Binkowski et al. 2018); `precision`, `recall` (Kynkäänniemi et al. 2019); `density`, `coverage` (Naeem
  /// et al. 2020); of a network that classifies `inception_score` (Salimans et al. 2016), and `agreement`, the share of
  /// samples that are given the label that they were asked for.
  std::string name;
  double value = 0;                           ///< Of the samples against the reference.
  std::optional<double> standard_error = {};  ///< Of kid and inception_score: from blocks of the samples.
  std::optional<double> floor = {};           ///< What real samples get.
};

/// The reference sample that is nearest to a sample, by the Euclidean distance of their features.
struct Nearest {
  std::int64_t reference = 0;  ///< In the order in which they were added.
  double distance = 0;         ///< Of the two, >= 0.
};

/// What was measured.
struct Evaluation {
  std::int64_t samples = 0, reference = 0, floor = 0;     ///< How many; 0: there are none, such as of moments alone.
  std::int64_t dimensions = 0;                            ///< Of the features.
  std::vector<Measure> measures;                          ///< Of all samples.
  std::map<std::int64_t, std::vector<Measure>> by_label;  ///< Of those of each label.
  std::vector<Nearest> nearest;                           ///< Of each sample; empty where only moments are kept.
  bool stopped = false;                                   ///< Stopped on request: there is nothing else.
};

/// Distances between a set of samples and a reference. Sets come a sample at a time, in any order, from one thread at a
/// time; the same samples in the same order have the same measures.
class Evaluator {
 public:
  /// data: of all samples; shape, range and modality matter. Throws Error: usage on what breaks a rule, file for the
  /// feature network.
  Evaluator(const DataSpace& data, const EvaluateOptions& options);
  Evaluator(Evaluator&&) noexcept;             ///< What was moved from may be assigned to or destroyed, no more.
  Evaluator& operator=(Evaluator&&) noexcept;  ///< As of the constructor.
  ~Evaluator();

  /// values: one sample, [...shape] in C order. Throws Error: usage for another number of values, numerical for NaN or
  /// infinity, file where the feature network fails.
  void add(EvaluatedSet set, std::span<const float> values, std::optional<std::int64_t> label = {});

  /// Moments in place of a reference: the Frechet distance alone is then known. Throws Error (usage) on moments that
  /// are none.
  void set_reference(FeatureMoments moments);

  /// Where each of several processes was given a part of a set: from then on the set is what all of them were given.
  /// `sum` adds up numbers over the processes, in place, such as by MPI_Allreduce. All of them are to call it, with
  /// moments_only, when all is added. Throws Error (usage), and what `sum` throws.
  void sum_over_processes(EvaluatedSet set, const std::function<void(std::span<double> numbers)>& sum);

  /// Of all that was added to a set, two samples or more. Throws Error (usage).
  FeatureMoments moments(EvaluatedSet set);

  /// To be called once, when all is added. Throws Error: usage where a set has too few samples. Progress counts blocks
  /// of distances as calls; a stop is obeyed between them.
  Evaluation evaluate(const OnProgress& on_progress = {}, std::stop_token stop = {});

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Moments as pytorch-fid keeps them: a .npz with `mu` [D] and `sigma` [D, D], float64 or float32. Throws Error (file).
FeatureMoments read_moments(const std::string& file);
/// Throws Error (file) where it can't be written.
void write_moments(const std::string& file, const FeatureMoments& moments);

}  // namespace onestep
