#pragma once

#include <algorithm>

#include "run/convolution.hpp"
#include "run/scratch.hpp"

namespace onestep::engine {

inline std::int64_t taps_of(const Convolution& convolution) {
  return convolution.gather ? convolution.gather->taps : 1;
}

/// Parts into which a matrix of so many panels of columns is split, so that `blocks` blocks of rows become about `each`
/// items a thread.
inline std::int64_t column_parts(std::int64_t blocks, std::int64_t threads, std::int64_t each, std::int64_t panels) {
  return std::clamp<std::int64_t>(divide_up(each * threads, blocks), 1, threads == 1 ? 1 : panels);
}

/// What a product in bf16 costs. What is emulated is what AMX would do, whose tiles have an eighth of float32's price,
/// converted numbers included.
inline double bf16_price(kernels::bf16::Unit unit) { return unit == kernels::bf16::Unit::avx512 ? 0.5 : 0.125; }

/// What all algorithms have in common: what they read and write, and the epilogue.
class ConvolutionStep : public Step {
 public:
  explicit ConvolutionStep(Convolution convolution) : c_(std::move(convolution)) {}

  std::vector<std::size_t> reads() const override {
    std::vector<std::size_t> buffers{c_.input.buffer};
    if (c_.residual) buffers.push_back(c_.residual->buffer);
    return buffers;
  }
  std::vector<std::size_t> writes() const override { return {c_.output.buffer}; }

  std::string describe() const override {
    std::string text = c_.description + ", " + algorithm();
    if (c_.addend) text += " + bias";
    if (c_.residual) text += " + residual";
    return text + kernels::with_activation(c_.activation);
  }

  std::int64_t items(const Run& run, std::int64_t) const override {
    const Cut cut = cut_for(run);
    return cut.blocks * cut.parts;
  }
  double cost(const Run& run, std::int64_t) const override {
    // The weights are fetched for the price of some rows. A kernel computes the columns of a vector, used or not.
    constexpr std::int64_t fetch = 8;
    const std::int64_t vector = kernels::panel_width() / 2, computed = divide_up(columns(), vector) * vector;
    return static_cast<double>((run.samples * c_.output.count + fetch) * taps_of(c_)) *
               static_cast<double>(depth() * computed) +
           touch * static_cast<double>(run.samples * c_.output.count * columns());
  }

 protected:
  virtual std::string algorithm() const = 0;

  /// An item is one part of the columns of one block of rows: those of one part after another, so that a thread that
  /// does several reads few weights, and writes the channels that it may read next.
  struct Cut {
    std::int64_t blocks, parts;
  };
  virtual Cut cut_for(const Run& run) const = 0;

  std::int64_t depth() const { return c_.input.channels; }
  std::int64_t columns() const { return c_.output.channels; }

  /// The row of the input that a tap of a pixel reads, or -1: padding.
  std::int64_t source(std::int64_t pixel, std::int64_t tap) const {
    return c_.gather ? c_.gather->index[static_cast<std::size_t>(pixel * c_.gather->taps + tap)] : pixel;
  }

  /// Where the epilogue of one pixel reads, and where it goes.
  struct Destination {
    float** outputs;
    const float** addends;
    const float** residuals;
  };

  void set_destination(const Run& run, std::int64_t sample, std::int64_t pixel, std::int64_t column,
                       const Destination& to, std::int64_t place) const {
    to.outputs[place] = run.at(c_.output, sample) + pixel * c_.output.stride + column;
    if (c_.addend) to.addends[place] = run.at(*c_.addend, sample) + column;
    if (c_.residual) to.residuals[place] = run.at(*c_.residual, sample) + pixel * c_.residual->stride + column;
  }

  kernels::Epilogue epilogue(const Destination& to) const {
    return {c_.addend ? to.addends : nullptr, c_.residual ? to.residuals : nullptr, c_.residual_scale, c_.activation};
  }

  Convolution c_;
};

/// In bf16, whatever the shape.
std::unique_ptr<Step> bf16_convolution_step(Convolution convolution, std::optional<WholeImage> image,
                                            kernels::bf16::Unit unit, PackedWeights& packed_weights);

}  // namespace onestep::engine
