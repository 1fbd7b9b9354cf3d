#pragma once

#include <cstdint>
#include <vector>

namespace onestep::engine {

/// The way of numbers from one place to another where they lie otherwise: to[index * to_strides] = scale *
/// from[index * from_strides] for every index below `sizes`.
class Transfer {
 public:
  Transfer(const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& from_strides,
           const std::vector<std::int64_t>& to_strides);

  /// Parts that several workers can do, each by itself.
  std::int64_t parts() const;

  void run(const float* from, float* to, float scale, std::int64_t part) const;

 private:
  struct Dimension {
    std::int64_t size, from, to;
  };

  void move(std::size_t dimension, std::int64_t first, std::int64_t last, const float* from, float* to,
            float scale) const;

  std::vector<Dimension> dimensions_;  ///< At least one; what lies closest together at the target comes last.
};

}  // namespace onestep::engine
