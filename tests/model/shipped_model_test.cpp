// The teacher in models/, from its file to samples.

#include <gtest/gtest.h>

#include "model_file.hpp"
#include "noise.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "schedule.hpp"

namespace onestep {
namespace {

TEST(FashionTeacher, DrawsBrightGarmentsOnBlack) {
  const std::string file = ONESTEP_SHIPPED_MODELS "/fashion-teacher.pt";
  const ModelInfo info = read_model_info(file);
  EXPECT_EQ(info.role, Role::diffusion);
  EXPECT_EQ(info.label_names.at(1), "Trouser");
  const auto network = load_torchscript(file, info).network;

  const std::int64_t n = 8;
  const NoiseSource z = [&](std::uint32_t draw) {
    torch::Tensor noise = torch::empty({n, 1, 28, 28});
    for (std::int64_t seed = 0; seed < n; ++seed) {
      gaussian_noise(seed, draw, {noise[seed].data_ptr<float>(), 28 * 28});
    }
    return noise;
  };
  const Denoiser denoise(*network, info, {.label = torch::full({n}, 1, torch::kInt64)});
  const auto x = sample_heun(denoise, z, karras_levels(9, info.sigma_min, info.sigma_max, info.rho));
  ASSERT_TRUE(x.isfinite().all().item<bool>());
  // None of Fashion-MNIST's 6,000 trousers has a corner brighter than -0.9; the garments themselves are far brighter.
  // Hence 0.1.
  for (const int row : {0, 27}) {
    for (const int column : {0, 27}) {
      const torch::Tensor corner = x.select(2, row).select(2, column);
      EXPECT_LT((corner + 1).abs().max().item<double>(), 0.1);
    }
  }
  EXPECT_GT(x.amax({1, 2, 3}).min().item<double>(), 0);
}

}  // namespace
}  // namespace onestep
