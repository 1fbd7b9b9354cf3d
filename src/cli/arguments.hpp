#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grammar.hpp"
#include "onestep/generator.hpp"

namespace onestep {

/// What generate, compare and bench share: where a model runs.
struct MachineArguments {
  std::string device = "cpu", precision = "auto";
  std::optional<int> threads;
  bool as_it_is = false;

  void add_to(CLI::App& command);
  /// Checks the precision, sets the threads and loads the model. What networks say goes to standard error, unless
  /// quiet.
  Generator load(const std::string& model, bool quiet) const;
};

/// A sampler by its name, with what can be said of it on the command line.
struct SamplerArguments {
  std::string name;
  Levels levels;
  std::map<std::string, double> options;  ///< Of the samplers, by their names.
  std::optional<double> guidance;
  bool force = false;

  void add_to(CLI::App& command);
  /// Whether a sampler, its levels or its options were given.
  bool chosen() const;
  /// Throws Error (usage) on an unknown name and on what the sampler does not take.
  void apply_to(Request& request, const ModelInfo& info) const;
};

/// The unit Gaussians of --noise, [draws, N, ...shape] or [N, ...shape], and their N. Throws Error (file).
std::pair<std::vector<float>, std::int64_t> read_noise(const std::string& file, const ModelInfo& info,
                                                       const std::map<std::string, std::int64_t>& sizes);

/// The texts of --tokens: whole numbers between blanks, a text a line. Throws Error (file).
std::vector<std::vector<std::int64_t>> read_tokens(const std::string& file);

/// "640x480", the width and the height of what is saved, as the model's free sizes. Throws Error (usage).
std::map<std::string, std::int64_t> parse_size(const std::string& text, const ModelInfo& info);

}  // namespace onestep
