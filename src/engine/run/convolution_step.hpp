#pragma once

#include <algorithm>

#include "run/convolution.hpp"
#include "run/scratch.hpp"

namespace onestep::engine {

inline std::int64_t taps_of(const Convolution& convolution) {
  return convolution.gather ? convolution.gather->taps : 1;
}

/// Parts into which a matrix of so many panels of columns is split, so that `items` items become about `each` a worker.
inline std::int64_t column_parts(std::int64_t items, std::int64_t workers, std::int64_t each, std::int64_t panels) {
  return std::clamp<std::int64_t>(divide_up(each * workers, items), 1, workers == 1 ? 1 : panels);
}

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

 protected:
  virtual std::string algorithm() const = 0;

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
