// The teacher in models/, from its file to samples.

#include <gtest/gtest.h>

#include "model_file.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "onestep/tensor/noise.hpp"
#include "schedule.hpp"
#include "torchscript_network.hpp"

namespace onestep {
namespace {

TEST(FashionTeacher, DrawsBrightGarmentsOnBlack) {
  const std::string file = ONESTEP_SHIPPED_MODELS "/fashion-teacher.pt";
  const ModelInfo info = read_model_info(file);
  EXPECT_EQ(info.role, Role::diffusion);
  EXPECT_EQ(info.label_names.at(1), "Trouser");
  const auto network = load_torchscript(file, info).network;

  const std::int64_t n = 8;
  const Tensor z = seeded_noise({0, 1, 2, 3, 4, 5, 6, 7}, info.sample.shape)(0);
  const Denoiser denoise(*network, info, {.label = torch::full({n}, 1, torch::kInt64)});
  const auto x =
      sample_heun(denoise, info.sigma_max * z, {}, karras_levels(9, info.sigma_min, info.sigma_max, info.rho));
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
