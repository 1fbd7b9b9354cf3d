#include "distance.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "noise.hpp"

namespace onestep {
namespace {

using Matrix = Eigen::MatrixXd;

struct Moments {
  Eigen::VectorXd mean;
  Matrix covariance;
};

Moments moments(const Points& points) {
  Moments m;
  m.mean = points.cast<double>().colwise().mean();
  const Matrix centred = points.cast<double>().rowwise() - m.mean.transpose();
  m.covariance = centred.transpose() * centred / static_cast<double>(points.rows() - 1);
  return m;
}

/// The q-th quantile of sorted values, q in (0, 1), with the k-th of n values at (k + 1/2) / n.
double quantile(const std::vector<float>& sorted, double q) {
  const double last = static_cast<double>(sorted.size()) - 1;
  const double place = std::clamp(q * static_cast<double>(sorted.size()) - 0.5, 0.0, last);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

double frechet_distance(const Points& a, const Points& b) {
  const Moments A = moments(a), B = moments(b);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(A.covariance);
  const Eigen::VectorXd roots = solver.eigenvalues().cwiseMax(0).cwiseSqrt();
  const Matrix root = solver.eigenvectors() * roots.asDiagonal() * solver.eigenvectors().transpose();
  // (A B)^(1/2) has the trace of (A^(1/2) B A^(1/2))^(1/2), which is symmetric.
  const Eigen::SelfAdjointEigenSolver<Matrix> product(root * B.covariance * root, Eigen::EigenvaluesOnly);
  const double cross = product.eigenvalues().cwiseMax(0).cwiseSqrt().sum();
  return (A.mean - B.mean).squaredNorm() + A.covariance.trace() + B.covariance.trace() - 2 * cross;
}

double sliced_wasserstein(const Points& a, const Points& b, int projections) {
  Points directions(projections, a.cols());
  gaussian_noise(0, 0, {directions.data(), static_cast<std::size_t>(directions.size())});
  directions.rowwise().normalize();
  double sum = 0;
  for (int i = 0; i < projections; ++i) {
    const auto sorted = [&](const Points& points) {
      std::vector<float> projected(static_cast<std::size_t>(points.rows()));
      Eigen::Map<Eigen::VectorXf>(projected.data(), points.rows()) = points * directions.row(i).transpose();
      std::sort(projected.begin(), projected.end());
      return projected;
    };
    const std::vector<float> x = sorted(a), y = sorted(b);
    const std::size_t n = std::min(x.size(), y.size());
    double squares = 0;
    for (std::size_t k = 0; k < n; ++k) {
      const double q = (static_cast<double>(k) + 0.5) / static_cast<double>(n);
      squares += std::pow(quantile(x, q) - quantile(y, q), 2);
    }
    sum += squares / static_cast<double>(n);
  }
  return std::sqrt(sum / projections);
}

}  // namespace onestep
