#pragma once

namespace onestep {

/// denoised = skip * x + out * F(in * x, c_noise) (Karras et al. 2022, Eq. 7).
struct Preconditioning {
  double skip, out, in;
};

/// Karras et al. 2022, Table 1, shifted so that f(x, boundary) = x exactly (Song et al. 2023, App. C).
/// boundary 0: a diffusion model; sigma_min: a consistency model. sigma >= boundary >= 0, sigma_data > 0.
Preconditioning edm_preconditioning(double sigma, double sigma_data, double boundary);

}  // namespace onestep
