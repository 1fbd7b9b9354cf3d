#include "neighbours.hpp"

#include <algorithm>
#include <limits>

namespace onestep {
namespace {

using torch::Tensor;

constexpr std::int64_t block = 1024;  // points
/// Squared distances are known to this share of the points' squared lengths, about the middle of the reference.
constexpr double rounding = 1e-13;

std::int64_t blocks(std::int64_t count) { return (count + block - 1) / block; }

/// Squared distances between a block of a and one of b, with the places where the blocks begin.
struct Distances {
  std::int64_t first_a, first_b, rows, columns;
  const double *squares, *lengths_a, *lengths_b;

  double square(std::int64_t i, std::int64_t j) const { return squares[i * columns + j]; }
  /// What a comparison of this distance has to allow for.
  double error(std::int64_t i, std::int64_t j) const { return rounding * (lengths_a[i] + lengths_b[j]); }
};

template <typename Use>
void for_each_block(const Part& a, const Part& b, const Tensor& middle, const std::function<void()>& between, Use use) {
  for (std::int64_t i = 0; i < a.count(); i += block) {
    const Tensor x = a.block(i, block) - middle, lengths_x = x.square().sum(1);
    for (std::int64_t j = 0; j < b.count(); j += block) {
      if (between) between();
      const Tensor y = b.block(j, block) - middle, lengths_y = y.square().sum(1);
      const Tensor squares = torch::addmm(lengths_x.unsqueeze(1) + lengths_y.unsqueeze(0), x, y.t(), 1, -2);
      use(Distances{i, j, x.size(0), y.size(0), squares.const_data_ptr<double>(), lengths_x.const_data_ptr<double>(),
                    lengths_y.const_data_ptr<double>()});
    }
  }
}

/// Of each point, the squared distances to its `most` nearest neighbours among the others, rising: [N, most].
std::vector<double> squares_to_neighbours(const Part& part, int most, const Tensor& middle,
                                          const std::function<void()>& between) {
  const auto k = static_cast<std::size_t>(most);
  std::vector<double> nearest(static_cast<std::size_t>(part.count()) * k, std::numeric_limits<double>::infinity());
  for_each_block(part, part, middle, between, [&](const Distances& d) {
    for (std::int64_t i = 0; i < d.rows; ++i) {
      double* const of_point = nearest.data() + static_cast<std::size_t>(d.first_a + i) * k;
      for (std::int64_t j = 0; j < d.columns; ++j) {
        double square = d.square(i, j);
        if (!(square < of_point[k - 1]) || d.first_a + i == d.first_b + j) continue;
        for (std::size_t place = 0; place < k; ++place) {
          if (square < of_point[place]) std::swap(square, of_point[place]);
        }
      }
    }
  });
  return nearest;
}

/// The mean of a block-wise sum, in double precision.
Tensor middle_of(const Part& part) {
  Tensor sum = torch::zeros({part.set.dimensions()}, torch::kFloat64);
  for (std::int64_t i = 0; i < part.count(); i += block) sum += part.block(i, block).sum(0);
  return sum / static_cast<double>(part.count());
}

double share(const std::vector<char>& marks) {
  return static_cast<double>(std::count(marks.begin(), marks.end(), 1)) / static_cast<double>(marks.size());
}

}  // namespace

std::int64_t blocks_of_neighbourhood(std::int64_t samples, std::int64_t reference) {
  const std::int64_t a = blocks(samples), b = blocks(reference);
  return a * a + b * b + a * b;
}

Neighbourhood neighbourhood(const Part& samples, const Part& reference, BallSizes sizes,
                            const std::function<void()>& between) {
  const torch::InferenceMode guard;
  const Tensor middle = middle_of(reference);
  const auto n = static_cast<std::size_t>(samples.count()), m = static_cast<std::size_t>(reference.count());
  const int most = std::max(sizes.precision, sizes.density);
  const std::vector<double> about_samples = squares_to_neighbours(samples, sizes.precision, middle, between);
  const std::vector<double> about_reference = squares_to_neighbours(reference, most, middle, between);
  const auto ball_of_sample = [&](std::int64_t i) {
    return about_samples[static_cast<std::size_t>((i + 1) * sizes.precision - 1)];
  };
  const auto ball_of_reference = [&](std::int64_t j, int k) {
    return about_reference[static_cast<std::size_t>(j * most + k - 1)];
  };

  Neighbourhood found;
  found.nearest.resize(n);
  std::vector<double> nearest(n, std::numeric_limits<double>::infinity());
  std::vector<char> precise(n), recalled(m), covered(m);
  std::int64_t inside = 0;
  for_each_block(samples, reference, middle, between, [&](const Distances& d) {
    for (std::int64_t i = 0; i < d.rows; ++i) {
      const std::int64_t sample = d.first_a + i;
      const auto s = static_cast<std::size_t>(sample);
      for (std::int64_t j = 0; j < d.columns; ++j) {
        const std::int64_t point = d.first_b + j;
        const auto r = static_cast<std::size_t>(point);
        const double square = d.square(i, j), error = d.error(i, j);
        if (square <= ball_of_reference(point, sizes.precision) + error) precise[s] = 1;
        if (square <= ball_of_sample(sample) + error) recalled[r] = 1;
        if (square < ball_of_reference(point, sizes.density) - error) {
          ++inside;
          covered[r] = 1;
        }
        if (square < nearest[s]) {
          nearest[s] = square;
          found.nearest[s] = point;
        }
      }
    }
  });
  found.precision = share(precise);
  found.recall = share(recalled);
  found.density = static_cast<double>(inside) / (static_cast<double>(sizes.density) * static_cast<double>(n));
  found.coverage = share(covered);
  // Once more without a difference of squares: a copy is at 0.
  for (std::int64_t i = 0; i < samples.count(); i += block) {
    const Tensor x = samples.block(i, block);
    std::vector<std::int64_t> rows;
    for (std::int64_t k = 0; k < x.size(0); ++k)
      rows.push_back(reference.rows[static_cast<std::size_t>(found.nearest[static_cast<std::size_t>(i + k)])]);
    const Tensor distances = (x - reference.set.gather(rows)).square().sum(1).sqrt();
    found.distance.insert(found.distance.end(), distances.const_data_ptr<double>(),
                          distances.const_data_ptr<double>() + distances.numel());
  }
  return found;
}

}  // namespace onestep
