#include <limits>

#include "checked.hpp"
#include "noise.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/noise.hpp"
#include "require.hpp"

namespace onestep {

NoiseSource seeded_noise(std::vector<std::uint64_t> seeds, std::vector<std::int64_t> shape) {
  if (seeds.empty()) refuse("seeds is empty: give one seed a sample");
  std::vector<std::int64_t> sizes = shape;
  sizes.insert(sizes.begin(), static_cast<std::int64_t>(seeds.size()));
  std::int64_t left = std::numeric_limits<std::ptrdiff_t>::max() / static_cast<std::int64_t>(sizeof(float));
  for (const std::int64_t size : sizes) {
    left = size > 0 ? left / size : 0;
    if (left > 0) continue;
    refuse("noise of shape " + shape_text(sizes) + " can't be: every size must be 1 or more, and all fit in memory");
  }
  return [seeds = std::move(seeds), sizes = std::move(sizes)](std::uint32_t draw) {
    Tensor z;
    try {
      z = torch::empty(sizes);
    } catch (const std::exception&) {  // c10::Error of what libtorch's allocator does not get
      throw Error(ErrorKind::memory,
                  "noise of shape " + shape_text(sizes) + " does not fit in memory; take fewer samples at a time");
    }
    const std::size_t each = static_cast<std::size_t>(z.numel()) / seeds.size();
    for (std::size_t row = 0; row < seeds.size(); ++row) {
      gaussian_noise(seeds[row], draw, {z.data_ptr<float>() + row * each, each});
    }
    return z;
  };
}

}  // namespace onestep
