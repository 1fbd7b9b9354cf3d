#include "onestep/tensor/denoiser.hpp"

#include <cmath>

#include "preconditioning.hpp"

namespace onestep {

torch::Tensor Denoiser::operator()(const torch::Tensor& x, double sigma) const {
  const Preconditioning c = edm_preconditioning(sigma, info_.sigma_data, info_.boundary_sigma);
  const torch::Tensor noise = torch::full({x.size(0)}, info_.noise_scale * std::log(sigma), x.options());
  const torch::Tensor denoised = c.skip * x + c.out * network_.forward(c.in * x, noise, label_);
  return info_.clip_denoised ? denoised.clamp(info_.range_low, info_.range_high) : denoised;
}

}  // namespace onestep
