#pragma once

#include <map>
#include <string>
#include <vector>

#include "onestep/generator.hpp"

namespace onestep {

/// How to look for a consistency model's levels.
struct TuneOptions {
  int steps = 2;                     ///< Levels are found for 2, 3, ... up to this many steps, in [2, 16].
  int evaluations = 12;              ///< Sets of samples drawn for each level, in [2, 100].
  std::vector<std::uint64_t> seeds;  ///< One sample a seed, two or more: the same in every set.
  std::int64_t batch = 64;           ///< Samples a network call, >= 1.
  /// A TorchScript network [N, ...] -> [N, D] in whose features the Frechet distance is taken. Empty: the sliced
  /// Wasserstein distance between the samples themselves.
  std::string features;
};

/// A level that was tried as the last of `steps`.
struct Trial {
  int steps = 0;                   ///< Of which it is the last.
  double level = 0, distance = 0;  ///< The level, and the distance of its samples.
};
/// What tune found.
struct Tuned {
  std::string distance;                       ///< frechet or sliced_wasserstein.
  double one_step = 0;                        ///< The distance of one step.
  std::map<int, std::vector<double>> levels;  ///< For each number of steps, those found.
  std::map<int, double> distances;            ///< Of them,
  std::map<int, double> before;               ///< and of the levels that the model had.
  std::vector<Trial> trials;                  ///< In the order of the search.
  bool stopped = false;                       ///< Stopped on request: what was found until then.
};

/// Levels that bring a consistency model's samples nearest to a reference set: golden-section search over the logarithm
/// of the last level, one level after the other, those before it kept (Song et al. 2023, Sec. 6, search likewise).
/// reference: [M, ...shape] in C order, M >= 2, in the model's range. Throws Error: usage on what breaks a rule, file
/// for the feature network.
Tuned tune(const Generator& generator, const std::vector<float>& reference, const TuneOptions& options,
           const OnProgress& on_progress = {}, std::stop_token stop = {});

/// A copy of a model file that recommends these levels beside those it had, over an older file at `output`.
/// levels: for a number of steps, as many, which keep the rules of Levels::values. Throws Error: usage on levels that
/// break them, model for the model, file for the output.
void write_levels(const std::string& model, const std::map<int, std::vector<double>>& levels,
                  const std::string& output);

}  // namespace onestep
