#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "run/lines.hpp"

namespace onestep::engine {

/// Weights in the order in which kernels read them. The programs of a network for other shapes have many of the same:
/// equal ones are in memory once, for as long as somebody has them. May be used by several threads at once.
class PackedWeights {
 public:
  std::shared_ptr<const Lines<float>> keep(Lines<float> numbers) { return keep(std::move(numbers), floats_); }
  std::shared_ptr<const Lines<std::uint16_t>> keep(Lines<std::uint16_t> numbers) {
    return keep(std::move(numbers), halves_);
  }

 private:
  template <typename Number>
  using Known = std::unordered_multimap<std::size_t, std::weak_ptr<const Lines<Number>>>;

  /// By some of the numbers: all are compared where those agree.
  template <typename Number>
  static std::size_t hash(const Lines<Number>& numbers) {
    std::size_t result = numbers.size();
    const std::size_t step = numbers.size() / 64 + 1;
    for (std::size_t i = 0; i < numbers.size(); i += step) result = result * 31 + std::hash<Number>()(numbers[i]);
    return result;
  }

  template <typename Number>
  std::shared_ptr<const Lines<Number>> keep(Lines<Number> numbers, Known<Number>& known) {
    const std::size_t key = hash(numbers);
    const std::lock_guard lock(mutex_);
    const auto [first, last] = known.equal_range(key);
    for (auto entry = first; entry != last; ++entry) {
      if (auto kept = entry->second.lock(); kept && *kept == numbers) return kept;
    }
    std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
    auto kept = std::make_shared<const Lines<Number>>(std::move(numbers));
    known.emplace(key, kept);
    return kept;
  }

  std::mutex mutex_;
  Known<float> floats_;
  Known<std::uint16_t> halves_;
};

}  // namespace onestep::engine
