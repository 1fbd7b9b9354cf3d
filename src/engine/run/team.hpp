#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace onestep::engine {

/// Threads that share the work of one run, taken from libtorch's pool, each with memory of its own.
class Team {
 public:
  explicit Team(std::int64_t workers, std::int64_t scratch_bytes);

  std::int64_t workers() const { return workers_; }
  std::int64_t scratch_bytes() const { return scratch_bytes_; }  ///< Of each, at least as many as were asked for.

  /// Calls work(item, scratch) for every item in [0, items), in any order, several at once.
  void share(std::int64_t items, const std::function<void(std::int64_t item, std::byte* scratch)>& work);

 private:
  std::int64_t workers_, scratch_bytes_;
  std::vector<std::byte> scratch_;
};

}  // namespace onestep::engine
