#include "checked.hpp"
#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/editing.hpp"
#include "require.hpp"

namespace onestep {

Tensor Observation::put_back(const Tensor& x) const {
  require_batch("x", x);
  if (!to_basis || !from_basis) refuse("to_basis and from_basis of an observation must be functions");
  const Tensor u = to_basis(x);
  require_batch("the result of to_basis", u);
  require_broadcasts("the mask of an observation", mask, u);
  require_broadcasts("what is known by an observation", known, u);
  const Tensor back = from_basis(torch::where(mask != 0, known.to(u.scalar_type()), u));
  require_like("the result of from_basis", back, x);
  return back;
}

// Song et al. 2023, Algorithm 4: consistency sampling from A^-1 (Omega y) + tau_0 z(0), every result of f with what is
// known put back.
Tensor sample_edit(const DenoiserFunction& denoiser, Tensor x, const NoiseSource& z, const std::vector<double>& levels,
                   double epsilon, const Observation& observation) {
  require_batch("x", x);
  const DenoiserFunction f = checked(denoiser);
  const auto put_back_f = [&](const Tensor& x_tau, double tau) { return observation.put_back(f(x_tau, tau)); };
  return sample_consistency(put_back_f, observation.put_back(torch::zeros_like(x)) + x, z, levels, epsilon);
}

}  // namespace onestep
