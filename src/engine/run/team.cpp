#include "run/team.hpp"

#include <ATen/Parallel.h>

#include <atomic>

namespace onestep::engine {

constexpr std::int64_t line = 64;  // bytes that a cache moves at once

Team::Team(std::int64_t workers, std::int64_t scratch_bytes)
    : workers_(workers),
      scratch_bytes_((scratch_bytes / line + 1) * line),
      scratch_(static_cast<std::size_t>(workers_ * scratch_bytes_ + line)) {}

void Team::share(std::int64_t items, const std::function<void(std::int64_t, std::byte*)>& work) {
  std::byte* const scratch = scratch_.data() + line - reinterpret_cast<std::uintptr_t>(scratch_.data()) % line;
  if (workers_ == 1 || items == 1) {
    for (std::int64_t item = 0; item < items; ++item) work(item, scratch);
    return;
  }
  std::atomic<std::int64_t> next{0};
  at::parallel_for(0, std::min(workers_, items), 1, [&](std::int64_t first, std::int64_t) {
    while (true) {
      const std::int64_t item = next.fetch_add(1, std::memory_order_relaxed);
      if (item >= items) return;
      work(item, scratch + first * scratch_bytes_);
    }
  });
}

}  // namespace onestep::engine
