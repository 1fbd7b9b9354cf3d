#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "ranks.hpp"
#include "terminal.hpp"

namespace onestep {

/// Where samples to be measured come from: files, or a model that draws them.
class SampleSource {
 public:
  /// What the samples are; of files none has rate.
  DataSpace data;
  std::int64_t count = 0;
  bool has_labels = false;
  std::vector<std::string> label_names;  ///< May be empty where there are labels.
  std::string name;                      ///< As it was given.

  using Use = std::function<void(std::span<const float> values, std::optional<std::int64_t> label)>;
  virtual ~SampleSource() = default;
  /// Those of a rank, in order: of one of one, all of them. Throws StoppedByUser.
  virtual void each(const Use& use, const Rank& rank, Interrupt& interrupt, bool quiet) const = 0;
  /// The values of those of these numbers, which rise.
  virtual std::map<std::int64_t, std::vector<float>> these(const std::vector<std::int64_t>& numbers) const = 0;
};

/// Whether a path or a name is that of a model, rather than of samples: a .pt file, a model folder, a shipped model.
bool names_a_model(const std::string& text);

/// Samples in files, at most `most`, evenly over the set. like: what they must be; none: what they are.
std::unique_ptr<SampleSource> samples_of_files(const std::string& path, std::size_t most, const DataSpace* like);

/// Samples that a model draws, which must outlive this.
std::unique_ptr<SampleSource> samples_of_model(const Generator& generator, Request request, const std::string& name);

}  // namespace onestep
