#include "lower/pixel_weights.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "run/places.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

struct Term {
  std::int64_t pixel;
  double weight;
};
using Sum = std::vector<Term>;

/// Channels that the operator is applied to in one call, and pixels that all calls may have it make: a second or two.
constexpr std::int64_t at_once = 16, most_pixels = 1 << 27;

std::vector<std::int64_t> sizes_of(std::int64_t channels, const Extents& extents) {
  std::vector<std::int64_t> sizes{1, channels};
  sizes.insert(sizes.end(), extents.begin(), extents.end());
  return sizes;
}

/// The first line of pixels along a dimension.
Tensor first_line(Tensor image, std::int64_t dimension) {
  for (std::int64_t d = image.dim(); d-- > 0;) {
    if (d != dimension) image = image.select(d, 0);
  }
  return image.contiguous();
}

/// What becomes of the pixels of each line along a dimension where all along the others is alike.
std::vector<Sum> sums_along(std::int64_t dimension, const Extents& from,
                            const std::function<Tensor(const Tensor&)>& apply) {
  std::vector<Sum> sums;
  const std::int64_t extent = from[static_cast<std::size_t>(dimension - 2)];
  for (std::int64_t first = 0; first < extent; first += at_once) {
    const std::int64_t count = std::min(at_once, extent - first);  // of pixels, a channel each
    const Tensor image = torch::zeros(sizes_of(count, from), torch::kFloat64);
    for (std::int64_t i = 0; i < count; ++i) image.select(1, i).select(dimension - 1, first + i).fill_(1);
    const Tensor made = apply(image);
    for (std::int64_t i = 0; i < count; ++i) {
      const Tensor line = first_line(made.narrow(1, i, 1), dimension);
      sums.resize(static_cast<std::size_t>(line.numel()));
      const double* weights = line.const_data_ptr<double>();
      for (std::size_t k = 0; k < sums.size(); ++k) {
        if (weights[k] != 0) sums[k].push_back({first + i, weights[k]});
      }
    }
  }
  return sums;
}

/// As many taps for each pixel, without weight where there are fewer.
PixelWeights with_taps(const std::vector<Sum>& sums) {
  std::size_t taps = 1;
  for (const Sum& sum : sums) taps = std::max(taps, sum.size());
  PixelWeights result{{static_cast<std::int64_t>(sums.size()), static_cast<std::int64_t>(taps), {}}, {}};
  for (const Sum& sum : sums) {
    for (std::size_t t = 0; t < taps; ++t) {
      result.gather.index.push_back(t < sum.size() ? static_cast<std::int32_t>(sum[t].pixel) : -1);
      result.weights.push_back(t < sum.size() ? sum[t].weight : 0);
    }
  }
  return result;
}

/// The weighted sums of an image's pixels: [channels, pixels].
Tensor applied(const PixelWeights& weights, const Tensor& image) {
  const Gather& gather = weights.gather;
  const Tensor index = torch::tensor(gather.index, torch::kInt64).clamp_min(0);
  const Tensor taps = image.flatten(2)[0].index_select(1, index).reshape({-1, gather.pixels, gather.taps});
  return (taps * torch::tensor(weights.weights, torch::kFloat64).reshape({gather.pixels, gather.taps})).sum(2);
}

}  // namespace

std::optional<PixelWeights> pixel_weights(const Extents& from, const Extents& to,
                                          const std::function<Tensor(const Tensor&)>& apply) {
  std::int64_t calls = 0;
  for (const std::int64_t extent : from) calls += extent;
  if (calls * std::max(element_count(from), element_count(to)) > most_pixels) return std::nullopt;
  const Tensor ones = apply(torch::ones(sizes_of(1, from), torch::kFloat64));
  if (ones.sizes() != sizes_of(1, to)) return std::nullopt;
  // A weight is the product of those along each dimension. Each of them is found times the weights of all that the
  // first pixel reads along the others: together, all its weights as often as there are other dimensions.
  const double first = ones.flatten()[0].item<double>();
  std::vector<Sum> sums{{{0, std::pow(first, 1 - static_cast<double>(from.size()))}}};
  if (!std::isfinite(sums[0][0].weight)) return std::nullopt;
  for (std::size_t d = 0; d < from.size(); ++d) {
    const std::vector<Sum> along = sums_along(static_cast<std::int64_t>(d) + 2, from, apply);
    std::vector<Sum> finer;
    for (const Sum& coarse : sums) {
      for (const Sum& line : along) {
        Sum& sum = finer.emplace_back();
        for (const Term& a : coarse) {
          for (const Term& b : line) sum.push_back({a.pixel * from[d] + b.pixel, a.weight * b.weight});
        }
      }
    }
    sums = std::move(finer);
  }
  PixelWeights result = with_taps(sums);
  // Numbers that follow no rule show whether it is what it was taken for, to the rounding of its weights to float32.
  const Tensor image =
      torch::arange(2 * element_count(from), torch::kFloat64).square().sin().reshape(sizes_of(2, from));
  const Tensor expected = apply(image);
  if (expected.sizes() != sizes_of(2, to)) return std::nullopt;
  const Tensor difference = applied(result, image) - expected.flatten(2)[0];
  if (!(difference.abs().max().item<double>() <= 1e-6)) return std::nullopt;
  return result;
}

}  // namespace onestep::engine
