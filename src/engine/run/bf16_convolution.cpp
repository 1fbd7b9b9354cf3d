#include <algorithm>

#include "kernels/bf16.hpp"
#include "run/convolution_step.hpp"
#include "run/scratch.hpp"

namespace onestep::engine {
namespace {

namespace bf16 = kernels::bf16;

/// Rows of bf16 that a thread has converted for itself, and what becomes of each of them.
struct Block {
  bf16::Number* rows;
  float** outputs;
  const float** addends;
  const float** residuals;
};

class Bf16Convolution : public ConvolutionStep {
 public:
  Bf16Convolution(Convolution convolution, bf16::Unit unit, PackedWeights& packed_weights)
      : ConvolutionStep(std::move(convolution)), unit_(unit) {
    taps_ = taps_of(c_);
    Lines<bf16::Number> packed(static_cast<std::size_t>(bf16::packed_size(taps_, depth(), columns())));
    bf16::pack(c_.weights.data(), taps_, depth(), columns(), packed.data());
    packed_ = packed_weights.keep(std::move(packed));
    c_.weights = {};
  }

  double cost(const Run& run, std::int64_t pass) const override {
    return bf16_price(unit_) * ConvolutionStep::cost(run, pass);
  }

  std::string algorithm() const override { return std::string("bf16 (") + bf16::name(unit_) + ")"; }

 protected:
  std::int64_t stride() const { return bf16::padded(depth()); }
  std::int64_t panels() const { return divide_up(columns(), bf16::panel_width); }

  // Two items a thread: a part converts its rows again.
  std::int64_t parts_of(std::int64_t blocks, std::int64_t threads) const {
    return column_parts(blocks, threads, 2, panels());
  }

  std::int64_t block_bytes(std::int64_t rows, std::int64_t outputs) const {
    return Scratch::bytes<bf16::Number>(rows * stride()) + 3 * Scratch::bytes<float*>(outputs);
  }
  Block take_block(std::byte* memory, std::int64_t rows, std::int64_t outputs) const {
    Scratch scratch(memory);
    return {scratch.take<bf16::Number>(rows * stride()), scratch.take<float*>(outputs),
            scratch.take<const float*>(outputs), scratch.take<const float*>(outputs)};
  }

  /// Converts one row of the input, -1: padding, to row `place` of the block.
  void convert(const Run& run, std::int64_t sample, std::int64_t row, const Block& block, std::int64_t place) const {
    bf16::Number* to = block.rows + place * stride();
    if (row < 0) {
      std::fill_n(to, stride(), bf16::Number{0});
    } else {
      bf16::convert(run.at(c_.input, sample) + row * c_.input.stride, depth(), to);
    }
  }

  void set_destination(const Run& run, std::int64_t sample, std::int64_t pixel, const Block& block,
                       std::int64_t place) const {
    ConvolutionStep::set_destination(run, sample, pixel, 0, {block.outputs, block.addends, block.residuals}, place);
  }

  void multiply(const Block& block, std::int64_t rows, const std::vector<std::int64_t>& offsets, std::int64_t part,
                std::int64_t parts) const {
    bf16::multiply(unit_, {.rows = rows,
                           .taps = taps_,
                           .depth = depth(),
                           .a = {block.rows, stride(), offsets.data()},
                           .packed = packed_->data(),
                           .columns = columns(),
                           .first_panel = part * panels() / parts,
                           .last_panel = (part + 1) * panels() / parts,
                           .outputs = block.outputs,
                           .epilogue = epilogue({block.outputs, block.addends, block.residuals})});
  }

  bf16::Unit unit_;
  std::int64_t taps_;
  std::shared_ptr<const Lines<bf16::Number>> packed_;
};

/// Rows are gathered tap by tap: linear layers, 1x1, strides.
class Gathered : public Bf16Convolution {
 public:
  Gathered(Convolution convolution, bf16::Unit unit, PackedWeights& packed_weights)
      : Bf16Convolution(std::move(convolution), unit, packed_weights) {
    constexpr std::int64_t cached = 250'000;  // numbers that stay in the second-level cache
    const std::int64_t rows = std::clamp<std::int64_t>(cached / (taps_ * stride()), 1, 256);
    rows_ = divide_up(rows, bf16::tile_rows) * bf16::tile_rows;
    for (std::int64_t t = 0; t < taps_; ++t) offsets_.push_back(t * rows_ * stride());
  }

  std::int64_t scratch_bytes() const override { return block_bytes(taps_ * rows_, rows_); }

  Cut cut_for(const Run& run) const override {
    const std::int64_t rows = run.samples * c_.output.count;
    const std::int64_t blocks =
        std::max(divide_up(rows, rows_), std::min(run.cut_for, divide_up(rows, bf16::tile_rows)));
    return {blocks, parts_of(blocks, run.cut_for)};
  }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte* memory) const override {
    const std::int64_t pixels = c_.output.count, rows = run.samples * pixels;
    const auto [blocks, parts] = cut_for(run);
    const std::int64_t b = item % blocks, first = b * rows / blocks, count = (b + 1) * rows / blocks - first;
    const Block block = take_block(memory, taps_ * rows_, rows_);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t sample = (first + i) / pixels, pixel = (first + i) % pixels;
      for (std::int64_t t = 0; t < taps_; ++t) {
        convert(run, sample, source(pixel, t), block, t * rows_ + i);
      }
      set_destination(run, sample, pixel, block, i);
    }
    multiply(block, count, offsets_, item / blocks, parts);
  }

 private:
  std::int64_t rows_;
  std::vector<std::int64_t> offsets_;
};

/// A 3x3 convolution over a whole image. Its rows of pixels are laid end to end, each with one pixel of padding before
/// it, which the row before shares: then every tap is at a fixed distance from the pixel, and each pixel is converted
/// once. Where the padding itself would be a pixel, nothing is stored.
class Windowed : public Bf16Convolution {
 public:
  Windowed(Convolution convolution, WholeImage image, bf16::Unit unit, PackedWeights& packed_weights)
      : Bf16Convolution(std::move(convolution), unit, packed_weights), image_(image), pitch_(image.width + 1) {
    for (std::int64_t t = 0; t < 9; ++t) offsets_.push_back((t / 3 * pitch_ + t % 3) * stride());
    most_rows_ = std::max<std::int64_t>(1, most / pitch_);
  }

  std::int64_t scratch_bytes() const override { return block_bytes(converted(most_rows_), most_rows_ * pitch_); }

  Cut cut_for(const Run& run) const override {
    const auto [bands, groups] = blocks_for(run);
    return {groups * bands, parts_of(groups * bands, run.cut_for)};
  }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte* memory) const override {
    const std::int64_t height = image_.height, parts = cut_for(run).parts;
    const auto [bands, groups] = blocks_for(run);
    const std::int64_t band = item % bands, group = item / bands % groups, part = item / bands / groups;
    compute(run, group * run.samples / groups, (group + 1) * run.samples / groups, band * height / bands,
            (band + 1) * height / bands, part, parts, memory);
  }

 private:
  // Pixels computed at once: enough that the weights are read seldom, and few enough for the second-level cache.
  static constexpr std::int64_t least = 64, most = 512;

  struct Blocks {
    std::int64_t bands, groups;
  };

  /// Large images in bands of rows, small ones several at once with a row of padding between them.
  Blocks blocks_for(const Run& run) const {
    const std::int64_t height = image_.height;
    const std::int64_t wanted = std::clamp(run.samples * height * pitch_ / (2 * run.cut_for), least, most);
    const std::int64_t bands = divide_up(height, std::clamp<std::int64_t>(wanted / pitch_, 1, height));
    const std::int64_t at_once =
        bands > 1 ? 1 : std::clamp<std::int64_t>(wanted / ((height + 1) * pitch_), 1, run.samples);
    return {bands, divide_up(run.samples, at_once)};
  }

  /// Rows of the block that `rows` rows of pixels need, with those that the last tile reads beyond them.
  std::int64_t converted(std::int64_t rows) const { return (rows + 2) * pitch_ + 2 + bf16::tile_rows; }

  /// The rows [top, bottom) of the samples [first, last): all rows, if these are several.
  void compute(const Run& run, std::int64_t first, std::int64_t last, std::int64_t top, std::int64_t bottom,
               std::int64_t part, std::int64_t parts, std::byte* memory) const {
    const std::int64_t height = bottom - top, period = height + 1, rows = (last - first) * period - 1;
    const Block block = take_block(memory, converted(most_rows_), most_rows_ * pitch_);
    for (std::int64_t row = -1; row <= rows; ++row) {
      // Above the first of several samples, between them, and below the last, there is padding.
      const std::int64_t sample = first + std::min((row + 1) / period, last - first - 1);
      const std::int64_t y = top + row - (sample - first) * period;
      const bool inside = y >= 0 && y < image_.height;
      const std::int64_t place = (row + 1) * pitch_;
      convert(run, sample, -1, block, place);
      for (std::int64_t x = 0; x < image_.width; ++x) {
        // Tap 4 is the pixel itself.
        const std::int64_t from = inside ? source(y * image_.width + x, 4) : -1;
        convert(run, sample, from, block, place + 1 + x);
        if (row < 0 || row == rows) continue;
        if (inside && y < bottom) {
          set_destination(run, sample, y * image_.width + x, block, row * pitch_ + x);
        } else {
          block.outputs[row * pitch_ + x] = nullptr;
        }
      }
      if (row >= 0 && row < rows) block.outputs[row * pitch_ + image_.width] = nullptr;
    }
    convert(run, first, -1, block, (rows + 2) * pitch_);
    multiply(block, rows * pitch_, offsets_, part, parts);
  }

  WholeImage image_;
  std::int64_t pitch_, most_rows_;
  std::vector<std::int64_t> offsets_;
};

}  // namespace

std::unique_ptr<Step> bf16_convolution_step(Convolution convolution, std::optional<WholeImage> image, bf16::Unit unit,
                                            PackedWeights& packed_weights) {
  if (image) return std::make_unique<Windowed>(std::move(convolution), *image, unit, packed_weights);
  return std::make_unique<Gathered>(std::move(convolution), unit, packed_weights);
}

}  // namespace onestep::engine
