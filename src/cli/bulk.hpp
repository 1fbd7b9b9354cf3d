#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "provenance.hpp"
#include "ranks.hpp"
#include "sample_folder.hpp"
#include "terminal.hpp"

namespace onestep {

/// What is said on the command line of runs that can be gone on with, or dealt out.
struct BulkArguments {
  std::string shard;
  bool resume = false, keep_going = false;

  void add_to(CLI::App& command);
  /// Throws Error (usage) where one of them is said, or several processes were started, and it is not for such an
  /// output.
  void require_none(const std::string& output) const;
  /// The part of this process: --shard, or its rank. Throws Error (usage) where both are given.
  Shard part() const;
};

/// Many samples that are to be drawn, and by what.
struct BulkTask {
  const Generator& generator;
  const Request& request;
  const ModelHash& hash;
  const BulkArguments& arguments;
  std::string device;  ///< As it was given.
  bool compiled = true, quiet = false;
};

/// What a run drew.
struct BulkReport {
  Report report;                   ///< Of what this process drew.
  std::int64_t asked = 0;          ///< Samples of this process; of all ranks, in the end,
  std::int64_t finished = 0;       ///< of which so many are there, with those that were there before.
  std::int64_t broken = 0;         ///< NaN or infinity, and noted.
  bool ended = false;              ///< All of the run is there, and this process has ended it.
  std::vector<Sample> drawn;       ///< In short runs: what was drawn, without its values,
  std::vector<std::string> files;  ///< and where it is.
  std::string manifest;
};

/// What becomes of samples.
struct BulkLayout {
  std::string folder;       ///< Of a SampleFolder.
  std::string pattern;      ///< How files are named, or what they hold: part of what a run is.
  bool of_batches = false;  ///< An item is a batch; else a sample.
  std::function<ItemPlace(std::size_t item)> place = {};
  /// The bytes of an item. Called from several threads at once.
  std::function<std::vector<std::byte>(std::span<const Sample> samples, std::size_t item)> encode = {};
  /// What is left to be done when all items are there; may be empty.
  std::function<void()> finish = {};
};

/// Draws the samples of a request into a SampleFolder: beside the network, other threads write. As a rank of mpirun, it
/// draws its part, and rank 0 waits for the others. Throws Error.
BulkReport draw_in_bulk(const BulkTask& task, const BulkLayout& layout);

/// What is drawn, as far as another run of it would have to be the same.
nlohmann::ordered_json facts_of(const BulkTask& task, const std::string& pattern);

/// One file that is made of many: until all of them are there, they lie in this folder, by these names.
std::string folder_of_parts(const std::string& file);
std::string name_of_part(std::size_t part);

/// Samples a network call.
std::size_t batch_of(const Request& request);

/// Throws Error (usage).
void require_different(std::vector<std::uint64_t> seeds);

/// Shows how far a run is. As rank 0 of mpirun: how far all ranks are, of which the others are seen by their manifests;
/// a line every ten seconds, as mpirun collects what its ranks say.
class RunBar {
 public:
  /// calls, samples: of an item.
  RunBar(const SampleFolder& folder, double calls, double samples, bool quiet);
  /// own: of this process.
  void show(const Progress& own);
  /// The same as last time, but for the others.
  void show_again() { show(own_); }

 private:
  void print(const Progress& all, double time);

  ProgressBar bar_;
  ShardProgress others_;
  bool prints_, ended_ = false;
  double calls_, samples_, started_, looked_ = 0, printed_ = 0;
  std::size_t all_, before_, now_;  // items of the others
  Progress own_;
};

/// Thrown where the other ranks did not do their part.
struct RanksFailed {
  std::string message;
};

/// When this process has done its part of a run: whether all of it is there, and this process is to end it. Rank 0 of
/// mpirun waits for the others, and tells `waiting` of it now and then; of shards the last one ends the run. The
/// manifest is then that of the whole run. Throws RanksFailed.
bool ends_run(const SampleFolder::Run& run, const std::function<void()>& waiting);

/// Runs of no more samples are listed in reports.
constexpr std::size_t short_run = 10'000;

}  // namespace onestep
