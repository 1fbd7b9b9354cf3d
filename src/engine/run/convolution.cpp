#include <algorithm>

#include "run/convolution_step.hpp"
#include "run/scratch.hpp"

namespace onestep::engine {
namespace {

using kernels::panels;

class Direct : public ConvolutionStep {
 public:
  Direct(Convolution convolution, PackedWeights& packed_weights) : ConvolutionStep(std::move(convolution)) {
    taps_ = taps_of(c_);
    const std::int64_t all = taps_ * depth();
    // The kernel sums tap by tap.
    std::vector<float> by_tap(static_cast<std::size_t>(columns() * all));
    for (std::int64_t n = 0; n < columns(); ++n) {
      for (std::int64_t k = 0; k < depth(); ++k) {
        for (std::int64_t t = 0; t < taps_; ++t)
          by_tap[n * all + t * depth() + k] = c_.weights[(n * depth() + k) * taps_ + t];
      }
    }
    Lines<float> packed(static_cast<std::size_t>(kernels::packed_size(all, columns())));
    kernels::pack(by_tap.data(), all, columns(), 1, all, packed.data());
    packed_ = packed_weights.keep(std::move(packed));
    zeros_.resize(static_cast<std::size_t>(depth() + kernels::overread));
    c_.weights = {};
  }

  std::string algorithm() const override { return "direct"; }

  std::int64_t scratch_bytes() const override {
    return Scratch::bytes<float*>(taps_ * block) + 3 * Scratch::bytes<float*>(block);
  }

  Cut cut_for(const Run& run) const override {
    constexpr std::int64_t enough = 4;  // items a thread: none waits long for the last
    const std::int64_t rows = run.samples * c_.output.count, all_panels = panels(columns());
    std::int64_t blocks = divide_up(rows, block);
    if (run.cut_for == 1) return {blocks, 1};
    // Where few channels become many, each thread makes some of the channels of all rows: what it writes, it may read
    // next.
    if (depth() * taps_ < columns() && all_panels >= run.cut_for) return {blocks, all_panels};
    if (blocks < enough * run.cut_for) {
      constexpr std::int64_t least = 12;  // rows
      blocks = std::clamp(divide_up(blocks, run.cut_for) * run.cut_for, blocks, std::max(blocks, rows / least));
    }
    return {blocks, column_parts(blocks, run.cut_for, enough, all_panels)};
  }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte* memory) const override {
    const std::int64_t pixels = c_.output.count, rows = run.samples * pixels, all_panels = panels(columns());
    const auto [blocks, parts] = cut_for(run);
    const std::int64_t b = item % blocks, part = item / blocks;
    const std::int64_t first = b * rows / blocks, count = (b + 1) * rows / blocks - first;
    Scratch scratch(memory);
    const float** a = scratch.take<const float*>(taps_ * count);
    const Destination to{scratch.take<float*>(count), scratch.take<const float*>(count),
                         scratch.take<const float*>(count)};
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t sample = (first + i) / pixels, pixel = (first + i) % pixels;
      const float* input = run.at(c_.input, sample);
      for (std::int64_t t = 0; t < taps_; ++t) {
        const std::int64_t row = source(pixel, t);
        a[t * count + i] = row < 0 ? zeros_.data() : input + row * c_.input.stride;
      }
      set_destination(run, sample, pixel, 0, to, i);
    }
    const kernels::Epilogue end = epilogue(to);
    kernels::multiply({.rows = count,
                       .taps = taps_,
                       .depth = depth(),
                       .a = a,
                       .packed = packed_->data(),
                       .columns = columns(),
                       .first_panel = part * all_panels / parts,
                       .last_panel = (part + 1) * all_panels / parts,
                       .outputs = to.outputs,
                       .epilogue = &end});
  }

 private:
  static constexpr std::int64_t block = 48;  // rows for which the weights are read once
  std::int64_t taps_;
  std::shared_ptr<const Lines<float>> packed_;
  std::vector<float> zeros_;
};

class Winograd : public ConvolutionStep {
 public:
  Winograd(Convolution convolution, WholeImage image, std::int64_t m, PackedWeights& packed_weights)
      : ConvolutionStep(std::move(convolution)), image_(image), m_(m), n_(m + 2) {
    const std::int64_t positions = n_ * n_;
    Lines<float> packed(static_cast<std::size_t>(kernels::packed_size(9 * depth(), columns())));
    kernels::pack(c_.weights.data(), 9 * depth(), columns(), 1, 9 * depth(), packed.data());
    packed_ = packed_weights.keep(std::move(packed));
    c_.weights = {};
    zeros_.resize(static_cast<std::size_t>(depth() + kernels::overread));
    // As many tiles at a time as a cache holds, so that filters are transformed seldom; at least two of the kernel's.
    constexpr std::int64_t cached = 250'000;  // floats
    block_ = std::clamp<std::int64_t>(cached / (positions * depth()), 12, 60);

    down_ = divide_up(image.height, m_);
    across_ = divide_up(image.width, m_);
    // Where the tiles read, by way of the taps of the convolution: tap 4 is the pixel itself.
    for (std::int64_t tile = 0; tile < down_ * across_; ++tile) {
      for (std::int64_t i = 0; i < n_; ++i) {
        for (std::int64_t j = 0; j < n_; ++j) {
          const std::int64_t y = tile / across_ * m_ + i - 1, x = tile % across_ * m_ + j - 1;
          const bool inside = y >= 0 && y < image.height && x >= 0 && x < image.width;
          sources_.push_back(inside ? static_cast<std::int32_t>(source(y * image.width + x, 4)) : -1);
        }
      }
    }
  }

  std::string algorithm() const override { return "Winograd F(" + std::to_string(m_) + ", 3)"; }

  std::int64_t scratch_bytes() const override {
    const std::int64_t positions = n_ * n_;
    return Scratch::bytes<float>(positions * (block_ * depth() + gap) + kernels::overread) +
           Scratch::bytes<float>(positions * kernels::winograd_filter_stride()) +
           Scratch::bytes<float>(positions * (block_ * kernels::panel_width() + gap)) +
           2 * Scratch::bytes<float*>(block_) + Scratch::bytes<float*>(positions) + 3 * Scratch::bytes<float*>(m_ * m_);
  }

  Cut cut_for(const Run& run) const override {
    // Blocks of nearly the same size, no larger than planned. Where they are fewer than the threads, these share the
    // columns: panel after panel, each the tiles of a block. A part of them may end amid a panel, whose filters are
    // then transformed twice.
    constexpr std::int64_t enough = 24;
    const std::int64_t all = run.samples * down_ * across_;
    const std::int64_t blocks = divide_up(all, block_), most = panels(columns()) * (all / blocks) / enough;
    return {blocks, std::clamp<std::int64_t>(divide_up(run.cut_for, blocks), 1, std::max(most, panels(columns())))};
  }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte* memory) const override {
    const auto [blocks, parts] = cut_for(run);
    const std::int64_t b = item % blocks, part = item / blocks, all = run.samples * down_ * across_;
    const std::int64_t first = b * all / blocks, count = (b + 1) * all / blocks - first;
    const std::int64_t shared = panels(columns()) * count;
    compute(run, first, count, part * shared / parts, (part + 1) * shared / parts, memory);
  }

 private:
  // Floats between positions, so that those of one value do not fall into the same set of the cache.
  static constexpr std::int64_t gap = 16;

  /// Of the `count` tiles from `first` on, in every panel, those from `begin` to `end`.
  void compute(const Run& run, std::int64_t first, std::int64_t count, std::int64_t begin, std::int64_t end,
               std::byte* memory) const {
    const std::int64_t tiles = down_ * across_, positions = n_ * n_;
    const std::int64_t first_panel = begin / count, last_panel = divide_up(end, count);
    const std::int64_t width = kernels::panel_width();
    const std::int64_t v_stride = count * depth() + gap, product_stride = count * width + gap;
    Scratch scratch(memory);
    float* v = scratch.take<float>(positions * v_stride + kernels::overread);
    const std::int64_t filter_stride = kernels::winograd_filter_stride();
    float* filters = scratch.take<float>(positions * filter_stride);
    float* products = scratch.take<float>(positions * product_stride);
    const float** a = scratch.take<const float*>(count);
    float** to_products = scratch.take<float*>(count);
    const float** pixels = scratch.take<const float*>(positions);
    const Destination to{scratch.take<float*>(m_ * m_), scratch.take<const float*>(m_ * m_),
                         scratch.take<const float*>(m_ * m_)};

    // A part of one panel needs no other tiles.
    const bool is_one = last_panel - first_panel == 1;
    for (std::int64_t i = is_one ? begin % count : 0; i < (is_one ? end - first_panel * count : count); ++i) {
      const float* input = run.at(c_.input, (first + i) / tiles);
      const std::int32_t* sources = sources_.data() + (first + i) % tiles * positions;
      for (std::int64_t p = 0; p < positions; ++p) {
        pixels[p] = sources[p] < 0 ? zeros_.data() : input + sources[p] * c_.input.stride;
      }
      kernels::winograd_input(m_, pixels, depth(), v + i * depth(), v_stride);
    }

    // A panel of columns at a time, so that its products are still in the cache when they are transformed.
    for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
      const std::int64_t from = std::max<std::int64_t>(begin - panel * count, 0),
                         to_tile = std::min(end - panel * count, count);
      for (std::int64_t k = 0; k < depth(); k += kernels::winograd_depth) {
        const std::int64_t ks = std::min(kernels::winograd_depth, depth() - k);
        kernels::winograd_filters(m_, packed_->data() + (panel * depth() + k) * 9 * width, ks, filters);
        for (std::int64_t p = 0; p < positions; ++p) {
          for (std::int64_t i = from; i < to_tile; ++i) {
            a[i] = v + p * v_stride + i * depth() + k;
            to_products[i] = products + p * product_stride + i * width;
          }
          kernels::multiply({.rows = to_tile - from,
                             .depth = ks,
                             .a = a + from,
                             .packed = filters + p * filter_stride,
                             .columns = width,
                             .last_panel = 1,
                             .outputs = to_products + from,
                             .continued = k > 0});
        }
      }
      for (std::int64_t i = from; i < to_tile; ++i) {
        const std::int64_t sample = (first + i) / tiles, tile = (first + i) % tiles;
        for (std::int64_t p = 0; p < m_ * m_; ++p) {
          const std::int64_t y = tile / across_ * m_ + p / m_, x = tile % across_ * m_ + p % m_;
          if (y < image_.height && x < image_.width) {
            set_destination(run, sample, y * image_.width + x, panel * width, to, p);
          } else {
            to.outputs[p] = nullptr;
          }
        }
        kernels::winograd_output(m_, products + i * width, product_stride, std::min(width, columns() - panel * width),
                                 to.outputs, epilogue(to));
      }
    }
  }

  WholeImage image_;
  std::int64_t m_, n_, block_, down_, across_;
  std::shared_ptr<const Lines<float>> packed_;
  std::vector<float> zeros_;
  std::vector<std::int32_t> sources_;  // [tiles][n * n]
};

/// How a convolution is computed: as bf16, or directly (m = 0) or by Winograd's F(m, 3).
struct Algorithm {
  bool bf16 = false;
  std::int64_t m = 0;
};

/// Depends on the shape alone, so that a sample is the same in every batch. Costs are counted in multiplications of
/// float32.
Algorithm cheapest(const Convolution& c, const std::optional<WholeImage>& image,
                   std::optional<kernels::bf16::Unit> unit) {
  // In batches of a few samples a weight is fetched from afar at the price of about this many multiplications, and a
  // filter is transformed for this many a position.
  constexpr double fetch = 8, transform = 2;
  const std::int64_t taps = taps_of(c);
  const auto depth = static_cast<double>(c.input.channels), columns = static_cast<double>(c.output.channels);
  Algorithm best;
  double least = (static_cast<double>(c.output.count) + fetch) * static_cast<double>(taps) * depth * columns;
  const auto consider = [&](double cost, Algorithm algorithm) {
    if (cost >= least) return;
    least = cost;
    best = algorithm;
  };
  for (const std::int64_t m : {2, 4}) {
    if (!image) break;
    const std::int64_t positions = (m + 2) * (m + 2);
    const auto products = static_cast<double>(positions * divide_up(image->height, m) * divide_up(image->width, m));
    const double filter = fetch * static_cast<double>(taps) + transform * static_cast<double>(positions);
    // Transforms touch every channel of a tile (m + 2)^2 times, at about the price of 4 multiplications.
    consider((products + filter) * depth * columns + 4 * products * (depth + columns), {false, m});
  }
  if (unit) {
    const auto filled = [](std::int64_t channels) { return static_cast<double>(kernels::bf16::padded(channels)); };
    consider(bf16_price(*unit) * (static_cast<double>(c.output.count) + fetch) * static_cast<double>(taps) *
                 filled(c.input.channels) * filled(c.output.channels),
             {true, 0});
  }
  return best;
}

}  // namespace

void require_within(const std::optional<Gather>& gather, const Rows& input, const Rows& output) {
  const std::int64_t made = gather ? gather->pixels : input.count;
  const bool inside = !gather || std::ranges::all_of(gather->index, [&](auto row) { return row < input.count; });
  if (made != output.count || !inside) {
    throw std::logic_error("a step makes " + std::to_string(made) + " rows of " + std::to_string(input.count) +
                           " where there are " + std::to_string(output.count));
  }
}

std::unique_ptr<Step> convolution_step(Convolution convolution, std::optional<WholeImage> image,
                                       std::optional<kernels::bf16::Unit> unit, PackedWeights& packed_weights) {
  require_within(convolution.gather, convolution.input, convolution.output);
  const Algorithm algorithm = cheapest(convolution, image, unit);
  if (algorithm.bf16) return bf16_convolution_step(std::move(convolution), image, *unit, packed_weights);
  if (algorithm.m == 0) return std::make_unique<Direct>(std::move(convolution), packed_weights);
  return std::make_unique<Winograd>(std::move(convolution), *image, algorithm.m, packed_weights);
}

}  // namespace onestep::engine
