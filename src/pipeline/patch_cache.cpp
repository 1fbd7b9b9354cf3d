#include "patch_cache.hpp"

namespace onestep {

using torch::Tensor;

Tensor PatchCache::get(const Key& key, const std::function<Tensor()>& make) {
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto found = entries_.find(key);
      if (found == entries_.end()) break;
      if (found->second.value.defined()) {
        used_.splice(used_.begin(), used_, found->second.place);
        return found->second.value;
      }
      made_.wait(lock);
    }
    entries_.emplace(key, Entry{});
  }
  Tensor value;
  try {
    value = make();
    const std::lock_guard lock(mutex_);
    keep(key, value);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    entries_.erase(key);
    made_.notify_all();
    throw;
  }
  made_.notify_all();
  return value;
}

void PatchCache::keep(const Key& key, const Tensor& value) {
  used_.push_front(key);
  entries_.at(key) = {value, used_.begin()};
  bytes_ += value.nbytes();
  while (bytes_ > most_bytes_) {
    const auto last = entries_.find(used_.back());
    bytes_ -= last->second.value.nbytes();
    entries_.erase(last);
    used_.pop_back();
  }
}

}  // namespace onestep
