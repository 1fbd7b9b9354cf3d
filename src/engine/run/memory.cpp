#include "run/memory.hpp"

#include <algorithm>

#include "run/scratch.hpp"

namespace onestep::engine {

std::int64_t plan_memory(const std::vector<std::unique_ptr<Step>>& steps, std::vector<Buffer>& buffers) {
  std::vector<std::size_t> first(buffers.size(), steps.size()), last(buffers.size(), 0);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    std::vector<std::size_t> touched = steps[i]->reads();
    for (const std::size_t buffer : steps[i]->writes()) touched.push_back(buffer);
    for (const std::size_t buffer : touched) {
      first[buffer] = std::min(first[buffer], i);
      last[buffer] = std::max(last[buffer], i);
    }
  }
  constexpr std::int64_t floats = line / sizeof(float);
  for (Buffer& buffer : buffers) buffer.size = divide_up(buffer.size, floats) * floats;
  // The largest first, each at the lowest place that is free for as long as it is needed.
  std::vector<std::size_t> order;
  for (std::size_t b = 0; b < buffers.size(); ++b) {
    if (first[b] <= last[b] && first[b] < steps.size()) order.push_back(b);
  }
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return buffers[a].size > buffers[b].size; });
  std::vector<std::size_t> placed;  // by offset
  std::int64_t total = 0;
  for (const std::size_t b : order) {
    std::int64_t offset = 0;
    for (const std::size_t other : placed) {
      const bool at_once = first[b] <= last[other] && first[other] <= last[b];
      if (!at_once || offset + buffers[b].size <= buffers[other].offset) continue;
      offset = std::max(offset, buffers[other].offset + buffers[other].size);
    }
    buffers[b].offset = offset;
    total = std::max(total, offset + buffers[b].size);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), b,
                                   [&](auto x, auto y) { return buffers[x].offset < buffers[y].offset; }),
                  b);
  }
  return total;
}

}  // namespace onestep::engine
