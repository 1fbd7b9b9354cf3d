#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "new_paths.hpp"

namespace onestep {

/// Which blocks of a run a process makes: index, index + count, index + 2 count, ...
struct Shard {
  std::int64_t index = 0, count = 1;
};

/// "0/8" to "7/8". Throws Error (usage).
Shard parse_shard(const std::string& text);

/// An item of a run: its seed, and its file within the folder.
struct ItemPlace {
  std::uint64_t seed = 0;
  std::string file;
};

/// Work in a folder, a file an item, that survives whatever ends the processes that do it. Items are samples, or parts
/// of a larger file.
///   run.json        what is made; another run is refused
///   manifest.jsonl  a line an item, in the order of the run: seed, label, file, SHA-256; appended when the files of a
///                   batch are on the disk
///   .unfinished     files that have no name yet
/// and of a shard manifest.3-of-8.jsonl and .unfinished.3-of-8. The manifest is locked: one process writes it. What
/// another division of the run into shards has made is taken over.
class SampleFolder {
 public:
  struct Run {
    std::string folder;
    nlohmann::ordered_json facts;  ///< Of run.json.
    Shard shard;
    std::size_t count = 0;                               ///< Items of the whole run,
    std::size_t block = 1;                               ///< which are dealt to shards so many at a time,
    std::function<ItemPlace(std::size_t number)> place;  ///< and where each of them goes.
    std::function<void()> checked;  ///< Called now and then as older files are looked at; may throw.
  };

  /// Makes the folder where there is none; its own folder must exist. resume: goes on with what is there, if anything
  /// is. Throws Error: usage for another run, or one that was not to be resumed; file for what can't be read or
  /// written, and where another process writes it.
  SampleFolder(Run run, bool resume);
  ~SampleFolder();

  /// Whether item `number` of the run, which is this shard's, is there, whole, or noted as one that can't be made.
  bool has(std::size_t number) const;
  /// Items of this shard, and those that are not there.
  std::size_t own() const;
  std::size_t missing() const;
  /// The blocks of this shard in which some are missing, by their numbers in the run.
  std::vector<std::size_t> missing_blocks() const;

  struct Item {
    std::size_t number = 0;  ///< In the run.
    std::optional<std::int64_t> label;
    bool broken = false;  ///< NaN or infinity: noted.
  };
  /// Writes those of the next items, in order, that are not there; bytes(k) are those of items[k], asked for from
  /// several threads at once. Throws Error (file), and what `bytes` throws: then none of them is in the manifest.
  void add(const std::vector<Item>& items, const std::function<std::vector<std::byte>(std::size_t k)>& bytes);

  const Run& run() const { return run_; }
  const std::string& manifest() const { return manifest_; }

 private:
  void open_manifest(bool resume);
  void require_same_run();
  void read_manifest();
  void take_over(bool resume);
  std::size_t check(const std::vector<std::string>& lines);
  void append(const std::string& lines);
  [[noreturn]] void refuse_to_begin(const std::string& manifest) const;
  [[noreturn]] void fail(const std::string& file, int system_error) const;
  std::size_t index_of(std::size_t number) const;
  std::size_t number_of(std::size_t index) const;

  Run run_;
  std::string manifest_, unfinished_;
  NewPaths made_;
  int descriptor_ = -1, folder_descriptor_ = -1;
  std::uint64_t manifest_size_ = 0;
  std::vector<char> whole_;                     // of the items in the manifest, by their place in it
  std::map<std::size_t, std::string> damaged_;  // SHA-256 of those that are to be made again
};

/// What two descriptions of a run differ in: "batch is 4 there, 8 here; ..."
std::string differences(const nlohmann::ordered_json& there, const nlohmann::ordered_json& here);

/// Writes the manifest of all shards, if all of their lines are there; then those of the shards may go.
bool join_manifests(const SampleFolder::Run& run, bool remove_those_of_shards);

/// How many items a run's shards have in their manifests, as these grow.
class ShardProgress {
 public:
  /// All but shard `but`.
  ShardProgress(const SampleFolder::Run& run, std::int64_t but);
  std::size_t items();

 private:
  struct Seen {
    std::string file;
    std::uint64_t bytes = 0;
    std::size_t lines = 0;
  };
  std::vector<Seen> shards_;
};

}  // namespace onestep
