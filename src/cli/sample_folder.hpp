#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace onestep {

/// Which batches of a run a process draws: batches index, index + count, index + 2 count, ...
struct Shard {
  std::int64_t index = 0, count = 1;
};

/// "0/8" to "7/8". Throws Error (usage).
Shard parse_shard(const std::string& text);

/// A sample of a run: its seed, and its file within the folder.
struct SamplePlace {
  std::uint64_t seed = 0;
  std::string file;
};

/// Samples in a folder, a file each, that survive whatever ends the process that writes them:
///   run.json        what is drawn; another run is refused
///   manifest.jsonl  a line a sample, in the order of the run: seed, label, file, SHA-256; appended when the files of a
///                   batch are on the disk
///   .unfinished     files that have no name yet
/// and of a shard manifest.3-of-8.jsonl and .unfinished.3-of-8. The manifest is locked: one process writes it.
class SampleFolder {
 public:
  struct Run {
    std::string folder;
    nlohmann::ordered_json facts;  ///< Of run.json.
    Shard shard;
    std::size_t count = 0;                             ///< Samples of this shard,
    std::function<SamplePlace(std::size_t i)> place;   ///< and where each of them goes.
    std::function<void(std::size_t checked)> checked;  ///< Called as older files are looked at; may throw.
  };

  /// Makes the folder where there is none; its own folder must exist. resume: goes on with what is there, if anything
  /// is. Throws Error: usage for another run, or one that was not to be resumed; file for what can't be read or
  /// written, and where another process writes it.
  SampleFolder(Run run, bool resume);
  ~SampleFolder();

  /// Whether sample i is there, whole, or noted as one that can't be drawn.
  bool has(std::size_t i) const;
  std::size_t missing() const;

  struct Item {
    std::size_t i = 0;
    std::optional<std::int64_t> label;
    bool broken = false;  ///< NaN or infinity: noted.
  };
  /// Writes those of the next samples, in order, that are not there; bytes(k) are those of items[k], asked for from
  /// several threads at once. Throws Error (file), and what `bytes` throws: then none of them is in the manifest.
  void add(const std::vector<Item>& items, const std::function<std::vector<std::byte>(std::size_t k)>& bytes);

  /// When all is there: of shards, the last one writes the joint manifest.
  void finish();
  const std::string& manifest() const { return manifest_; }

 private:
  class Made;
  void open_manifest(bool resume);
  void require_same_run();
  void read_manifest();
  void append(const std::string& lines);
  [[noreturn]] void fail(const std::string& file, int system_error) const;

  Run run_;
  std::string manifest_, unfinished_;
  std::unique_ptr<Made> made_;
  int descriptor_ = -1, folder_descriptor_ = -1;
  std::uint64_t manifest_size_ = 0;
  std::vector<char> whole_;                     // of the samples in the manifest
  std::map<std::size_t, std::string> damaged_;  // SHA-256 of those that are to be drawn again
};

}  // namespace onestep
