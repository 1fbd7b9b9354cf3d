#pragma once

#include <mutex>
#include <unordered_map>

#include "trace/trace.hpp"

namespace onestep::engine {

/// The part of a network that does not look at x: embeddings of the noise level and the label, and every scale and
/// shift made of them. Computed once for each combination of the conditions, and kept, up to a thousand of them.
class Conditions {
 public:
  using Slot = std::size_t;
  using Slots = std::unordered_map<Slot, torch::Tensor>;
  using Compute = std::function<torch::Tensor(const Slots& slots)>;

  explicit Conditions(const Trace& trace);

  /// Bytes that all that is kept may take, what it is found by included. Called before the first look-up.
  void limit(std::size_t bytes) { most_bytes_ = bytes; }

  /// A further value, made of others after them.
  Slot add(Compute compute);

  /// Keeps a value of `size` numbers, as float32; returns its place in a record. Called before the first look-up.
  std::int64_t keep(Slot slot, std::int64_t size);

  /// The kept values, one after another.
  using Record = std::shared_ptr<const std::vector<float>>;

  /// One record a row of the input, whose x is not looked at. May be called from several threads at once.
  std::vector<Record> records(const NetworkInput& input) const;

 private:
  Record compute(const std::vector<torch::Tensor>& inputs) const;

  std::size_t values_;
  Slots constants_;
  std::vector<ValueId> inputs_;
  std::vector<Operation> operations_;
  std::vector<Compute> added_;
  std::vector<std::pair<Slot, std::int64_t>> kept_;  // with its place
  std::int64_t size_ = 0;

  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, Record> cache_;
  mutable std::size_t cached_bytes_ = 0;
  std::size_t most_bytes_ = 256 << 20;
};

}  // namespace onestep::engine
