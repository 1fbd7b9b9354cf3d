#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "onestep/generator.hpp"
#include "provenance.hpp"

namespace onestep {

/// What is said of a folder of samples on the command line.
struct FolderArguments {
  std::string shard;
  bool resume = false, keep_going = false;

  void add_to(CLI::App& command);
  /// Throws Error (usage) where something is said, and there is no folder.
  void require_none(const std::string& output) const;
};

/// What a run drew into its folder.
struct FolderReport {
  Report report;                   ///< Of what this process drew.
  std::int64_t asked = 0;          ///< Samples of this process,
  std::int64_t finished = 0;       ///< of which so many are there at the end, with those that were there before.
  std::int64_t broken = 0;         ///< NaN or infinity, and noted.
  std::vector<Sample> drawn;       ///< In short runs: what was drawn, without its values,
  std::vector<std::string> files;  ///< and where it is.
  std::string manifest;
};

/// Draws a request into a folder, a file of this extension a sample, as SampleFolder says: beside the network, other
/// threads write. where: for messages. Throws Error.
FolderReport draw_into_folder(const Generator& generator, const Request& request, const ModelHash& hash,
                              const std::string& folder, const std::string& extension, const FolderArguments& arguments,
                              const std::string& device, bool compiled, bool quiet);

/// Runs of no more samples are listed in reports.
constexpr std::size_t short_run = 10'000;

}  // namespace onestep
