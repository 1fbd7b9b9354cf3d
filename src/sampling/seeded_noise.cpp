#include "noise.hpp"
#include "onestep/tensor/noise.hpp"

namespace onestep {

NoiseSource seeded_noise(std::vector<std::uint64_t> seeds, std::vector<std::int64_t> shape) {
  return [seeds = std::move(seeds), shape = std::move(shape)](std::uint32_t draw) {
    std::vector<std::int64_t> sizes = shape;
    sizes.insert(sizes.begin(), static_cast<std::int64_t>(seeds.size()));
    Tensor z = torch::empty(sizes);
    const auto each = static_cast<std::size_t>(c10::multiply_integers(shape));
    for (std::size_t row = 0; row < seeds.size(); ++row) {
      gaussian_noise(seeds[row], draw, {z.data_ptr<float>() + row * each, each});
    }
    return z;
  };
}

}  // namespace onestep
