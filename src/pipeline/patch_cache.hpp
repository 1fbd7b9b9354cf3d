#pragma once

#include <torch/types.h>

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>

namespace onestep {

/// Tensors that are made when they are first asked for. Those used last are kept, up to a number of bytes; what several
/// threads ask for at once is made once.
class PatchCache {
 public:
  using Key = std::array<std::int64_t, 3>;  ///< Plane, row, column.

  explicit PatchCache(std::size_t bytes) : most_bytes_(bytes) {}

  /// make() may ask for other keys, in an order without circles. What it throws passes through, and the next who asks
  /// makes it himself.
  torch::Tensor get(const Key& key, const std::function<torch::Tensor()>& make);

 private:
  struct Entry {
    torch::Tensor value;  ///< Undefined while it is made.
    std::list<Key>::iterator place;
  };

  void keep(const Key& key, const torch::Tensor& value);

  std::mutex mutex_;
  std::condition_variable made_;
  std::map<Key, Entry> entries_;
  std::list<Key> used_;  ///< The one used last is the first.
  std::size_t bytes_ = 0, most_bytes_;
};

}  // namespace onestep
