#include <Eigen/QR>
#include <string>

#include "checked.hpp"
#include "onestep/tensor/editing.hpp"
#include "require.hpp"

namespace onestep {
namespace {

/// An orthonormal basis [n, n] whose first row is along `direction`, of n values, and of its sign.
Tensor basis_along(const Eigen::VectorXd& direction) {
  const Eigen::Index n = direction.size();
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(direction);
  Eigen::MatrixXd q = qr.householderQ() * Eigen::MatrixXd::Identity(n, n);
  if (q.col(0).dot(direction) < 0) q.col(0) *= -1;
  // Eigen's columns lie one after the other, as torch's rows do: q becomes its transpose.
  return torch::from_blob(q.data(), {n, n}, torch::kFloat64).clone();
}

/// The coordinates' last dimension is the basis, whose first is known.
Observation observe_first(std::function<Tensor(const Tensor&)> gather, std::function<Tensor(const Tensor&)> scatter,
                          const Eigen::VectorXd& direction, const Tensor& inner_product) {
  const Tensor A = basis_along(direction).to(inner_product.options());
  Observation observation;
  observation.to_basis = [gather = std::move(gather), A](const Tensor& x) {
    return torch::matmul(gather(x), A.to(x.options()).t());
  };
  observation.from_basis = [scatter = std::move(scatter), A](const Tensor& u) {
    return scatter(torch::matmul(u, A.to(u.options())));
  };
  observation.mask = torch::zeros({direction.size()}, inner_product.options());
  observation.mask[0] = 1;
  // The first coordinate is the inner product with the direction of length 1.
  observation.known = (inner_product / direction.norm()).unsqueeze(-1);
  return observation;
}

}  // namespace

Observation observe_values(const Tensor& x, const Tensor& mask) {
  require_batch("x", x);
  require_broadcasts("mask", mask, x);
  const auto itself = [](const Tensor& values) { return values; };
  return {.to_basis = itself, .from_basis = itself, .mask = mask, .known = x};
}

Observation observe_luma(const Tensor& luma) {
  require_batch("luma", luma);
  if (luma.dim() < 2 || luma.size(1) != 1)
    refuse("luma has shape " + shape_text(luma.sizes()) + "; it must be [N, 1, ...]");
  const auto gather = [](const Tensor& x) {
    if (x.dim() < 2 || x.size(1) != 3)
      refuse("x has shape " + shape_text(x.sizes()) + "; with a luma it must be [N, 3, ...]");
    return x.movedim(1, -1);
  };
  const auto scatter = [](const Tensor& u) { return u.movedim(-1, 1); };
  return observe_first(gather, scatter, Eigen::Vector3d(0.299, 0.587, 0.114), luma.squeeze(1));
}

Observation observe_block_means(const Tensor& means, int factor) {
  require_batch("means", means);
  if (means.dim() != 4) refuse("means has shape " + shape_text(means.sizes()) + "; it must be [N, C, H, W]");
  require_whole("factor", factor, 2, largest_block);
  const auto n = means.size(0), c = means.size(1), h = means.size(2), w = means.size(3);
  const std::int64_t p = factor;
  const auto gather = [=](const Tensor& x) {
    if (x.sizes() != torch::IntArrayRef({n, c, h * p, w * p})) {
      refuse("x has shape " + shape_text(x.sizes()) + "; of the means of blocks it must be " +
             shape_text(torch::IntArrayRef({n, c, h * p, w * p})));
    }
    return x.reshape({n, c, h, p, w, p}).permute({0, 1, 2, 4, 3, 5}).reshape({n, c, h, w, p * p});
  };
  const auto scatter = [=](const Tensor& u) {
    return u.reshape({n, c, h, w, p, p}).permute({0, 1, 2, 4, 3, 5}).reshape({n, c, h * p, w * p});
  };
  const double pixels = static_cast<double>(p * p);
  return observe_first(gather, scatter, Eigen::VectorXd::Ones(p * p), means * pixels);
}

}  // namespace onestep
