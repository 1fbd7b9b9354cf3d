#include "run/steps.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "run/places.hpp"
#include "run/scratch.hpp"
#include "run/transfer.hpp"

namespace onestep::engine {
namespace {

/// Rows that are worth a worker's attention at a time.
constexpr std::int64_t some_rows = 128;

/// A sample's rows from `first` on.
kernels::Input input_from(const Run& run, const Rows& rows, std::int64_t sample, std::int64_t first) {
  return {run.at(rows, sample) + first * rows.stride, rows.stride};
}
kernels::Output output_from(const Run& run, const Rows& rows, std::int64_t sample, std::int64_t first) {
  return {run.at(rows, sample) + first * rows.stride, rows.stride};
}

class GroupNormalizationStep : public Step {
 public:
  explicit GroupNormalizationStep(Normalization normalization) : n_(std::move(normalization)) {}

  std::vector<std::size_t> reads() const override { return {n_.input.buffer}; }
  std::vector<std::size_t> writes() const override { return {n_.output.buffer}; }
  std::string describe() const override {
    return "group normalization + scale, shift" + kernels::with_activation(n_.activation);
  }
  std::int64_t scratch_bytes() const override { return 2 * Scratch::bytes<float>(channels() + kernels::overread); }
  /// Moments of every part of every sample.
  std::int64_t shared_doubles() const override { return parts() * 2 * channels(); }

  void run(const Run& run) const override {
    const std::int64_t rows = n_.input.count, sample_doubles = shared_doubles();
    run.team->share(run.samples * parts(), [&](std::int64_t item, std::byte*) {
      const std::int64_t sample = item / parts(), part = item % parts();
      const std::int64_t first = part * rows / parts(), last = (part + 1) * rows / parts();
      double* sums = run.shared + sample * sample_doubles + part * 2 * channels();
      std::fill(sums, sums + 2 * channels(), 0.0);
      const float* x = run.at(n_.input, sample);
      // Relative to the first row, so that a mean far from zero does not drown the variance.
      kernels::moments(x + first * n_.input.stride, last - first, n_.input.stride, channels(), x, sums,
                       sums + channels());
    });
    run.team->share(run.samples * parts(), [&](std::int64_t item, std::byte* memory) {
      const std::int64_t sample = item / parts(), part = item % parts();
      const std::int64_t first = part * rows / parts(), last = (part + 1) * rows / parts();
      Scratch scratch(memory);
      float* multiplier = scratch.take<float>(channels() + kernels::overread);
      float* addend = scratch.take<float>(channels() + kernels::overread);
      const float* x = run.at(n_.input, sample);
      coefficients(run, sample, x, run.shared + sample * sample_doubles, multiplier, addend);
      kernels::affine({.rows = last - first,
                       .channels = channels(),
                       .x = input_from(run, n_.input, sample, first),
                       .multiplier = multiplier,
                       .addend = addend,
                       .activation = n_.activation,
                       .y = output_from(run, n_.output, sample, first)});
    });
  }

 private:
  std::int64_t channels() const { return n_.input.channels; }
  /// No more of them than workers can use: each part of the second pass sums the moments of all of the first.
  std::int64_t parts() const { return std::min<std::int64_t>(divide_up(n_.input.count, some_rows), 16); }

  /// The normalization as a multiplier and an addend of each channel.
  void coefficients(const Run& run, std::int64_t sample, const float* shift, const double* moments, float* multiplier,
                    float* addend) const {
    const float* scale = run.at(n_.multiplier, sample);
    const float* offset = run.at(n_.addend, sample);
    const std::int64_t group = channels() / n_.groups;
    const auto rows = static_cast<double>(n_.input.count);
    for (std::int64_t first = 0; first < channels(); first += group) {
      double mean = 0;
      for (std::int64_t c = first; c < first + group; ++c) mean += shift[c] + sum(moments, c) / rows;
      mean /= static_cast<double>(group);
      double variance = 0;
      for (std::int64_t c = first; c < first + group; ++c) {
        const double own = sum(moments, c) / rows, from_mean = shift[c] + own - mean;
        variance += sum(moments, channels() + c) / rows - own * own + from_mean * from_mean;
      }
      variance = std::max(variance / static_cast<double>(group), 0.0);
      const double inverse = 1 / std::sqrt(variance + n_.epsilon);
      for (std::int64_t c = first; c < first + group; ++c) {
        multiplier[c] = static_cast<float>(inverse * scale[c]);
        addend[c] = static_cast<float>(offset[c] - mean * inverse * scale[c]);
      }
    }
  }

  double sum(const double* moments, std::int64_t which) const {
    double total = 0;
    for (std::int64_t part = 0; part < parts(); ++part) total += moments[part * 2 * channels() + which];
    return total;
  }

  Normalization n_;
};

/// Calls work(sample, first row, last row) for parts of all rows of all samples.
void share_rows(const Run& run, std::int64_t rows,
                const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& work) {
  const std::int64_t parts = divide_up(rows, some_rows);
  run.team->share(run.samples * parts, [&](std::int64_t item, std::byte*) {
    const std::int64_t part = item % parts;
    work(item / parts, part * rows / parts, (part + 1) * rows / parts);
  });
}

class RowNormalizationStep : public Step {
 public:
  explicit RowNormalizationStep(Normalization normalization) : n_(std::move(normalization)) {}

  std::vector<std::size_t> reads() const override { return {n_.input.buffer}; }
  std::vector<std::size_t> writes() const override { return {n_.output.buffer}; }
  std::string describe() const override {
    return (centered() ? "layer normalization + scale, shift" : "RMS normalization + scale, shift") +
           kernels::with_activation(n_.activation);
  }

  void run(const Run& run) const override {
    share_rows(run, n_.input.count, [&](std::int64_t sample, std::int64_t first, std::int64_t last) {
      kernels::normalize_rows({.rows = last - first,
                               .channels = n_.input.channels,
                               .x = input_from(run, n_.input, sample, first),
                               .multiplier = run.at(n_.multiplier, sample),
                               .addend = run.at(n_.addend, sample),
                               .epsilon = n_.epsilon,
                               .floor = n_.floor,
                               .centered = centered(),
                               .activation = n_.activation,
                               .y = output_from(run, n_.output, sample, first)});
    });
  }

 private:
  bool centered() const { return n_.moments == Moments::row; }

  Normalization n_;
};

class AffineStep : public Step {
 public:
  explicit AffineStep(Affine affine) : a_(std::move(affine)) {}

  std::vector<std::size_t> reads() const override {
    std::vector<std::size_t> buffers{a_.input.buffer};
    if (a_.residual) buffers.push_back(a_.residual->buffer);
    return buffers;
  }
  std::vector<std::size_t> writes() const override { return {a_.output.buffer}; }
  std::string describe() const override {
    return (a_.residual ? "addition" : "scale, shift") + kernels::with_activation(a_.activation);
  }

  void run(const Run& run) const override {
    share_rows(run, a_.input.count, [&](std::int64_t sample, std::int64_t first, std::int64_t last) {
      kernels::affine({.rows = last - first,
                       .channels = a_.input.channels,
                       .x = input_from(run, a_.input, sample, first),
                       .multiplier = run.at(a_.multiplier, sample),
                       .addend = run.at(a_.addend, sample),
                       .residual = a_.residual ? input_from(run, *a_.residual, sample, first) : kernels::Input{},
                       .residual_scale = a_.residual_scale,
                       .activation = a_.activation,
                       .y = output_from(run, a_.output, sample, first)});
    });
  }

 private:
  Affine a_;
};

class ElementwiseProductStep : public Step {
 public:
  explicit ElementwiseProductStep(ElementwiseProduct product) : p_(std::move(product)) {}

  std::vector<std::size_t> reads() const override { return {p_.a.buffer, p_.b.buffer}; }
  std::vector<std::size_t> writes() const override { return {p_.output.buffer}; }
  std::string describe() const override { return "elementwise product"; }

  void run(const Run& run) const override {
    share_rows(run, p_.output.count, [&](std::int64_t sample, std::int64_t first, std::int64_t last) {
      kernels::multiply_elements(last - first, p_.output.channels, input_from(run, p_.a, sample, first),
                                 input_from(run, p_.b, sample, first), output_from(run, p_.output, sample, first));
    });
  }

 private:
  ElementwiseProduct p_;
};

class DepthwiseStep : public Step {
 public:
  explicit DepthwiseStep(Depthwise depthwise) : d_(std::move(depthwise)) {
    if (d_.kind == Depthwise::by_channel) d_.weights.resize(d_.weights.size() + kernels::overread);
  }

  std::vector<std::size_t> reads() const override { return {d_.input.buffer}; }
  std::vector<std::size_t> writes() const override { return {d_.output.buffer}; }
  std::string describe() const override { return d_.description; }
  std::int64_t scratch_bytes() const override { return Scratch::bytes<float*>(d_.gather.taps); }

  void run(const Run& run) const override {
    const std::int64_t pixels = d_.gather.pixels, taps = d_.gather.taps, parts = divide_up(pixels, some_rows);
    run.team->share(run.samples * parts, [&](std::int64_t item, std::byte* memory) {
      const std::int64_t sample = item / parts, part = item % parts;
      const float** x = Scratch(memory).take<const float*>(taps);
      const float* input = run.at(d_.input, sample);
      float* output = run.at(d_.output, sample);
      for (std::int64_t p = part * pixels / parts; p < (part + 1) * pixels / parts; ++p) {
        for (std::int64_t t = 0; t < taps; ++t) {
          const std::int64_t row = d_.gather.index[p * taps + t];
          x[t] = row < 0 ? nullptr : input + row * d_.input.stride;
        }
        float* y = output + p * d_.output.stride;
        compute(x, p, y);
      }
    });
  }

 private:
  void compute(const float* const* x, std::int64_t pixel, float* y) const {
    const std::int64_t taps = d_.gather.taps, channels = d_.input.channels;
    switch (d_.kind) {
      case Depthwise::tap:
        if (x[0]) {
          std::memcpy(y, x[0], static_cast<std::size_t>(channels) * sizeof(float));
        } else {
          std::fill(y, y + channels, 0.0f);
        }
        break;
      case Depthwise::by_channel:
        return kernels::depthwise(x, taps, channels, d_.weights.data(), y);
      case Depthwise::by_pixel:
        return kernels::weighted_sum(x, taps, channels, d_.weights.data() + pixel * taps, y);
      case Depthwise::largest_tap:
        return kernels::largest(x, taps, channels, y);
    }
  }

  Depthwise d_;
};

/// Rows of a head that are multiplied at a time.
constexpr std::int64_t head_rows = 48;

/// Calls work(sample, head, first, last, memory) for the blocks [first, last) of head_rows rows, so that all of every
/// head are done. What a head's rows are multiplied with is packed anew for each call: there are no more than workers
/// need.
void share_heads(const Run& run, std::int64_t heads, std::int64_t rows,
                 const std::function<void(std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::byte*)>& work) {
  const std::int64_t blocks = divide_up(rows, head_rows), all = run.samples * heads;
  const std::int64_t parts = std::clamp<std::int64_t>(divide_up(run.team->workers(), all), 1, blocks);
  run.team->share(all * parts, [&](std::int64_t item, std::byte* memory) {
    const std::int64_t part = item % parts, head = item / parts % heads, sample = item / parts / heads;
    work(sample, head, part * blocks / parts, (part + 1) * blocks / parts, memory);
  });
}

/// All columns of some rows.
void multiply_head(std::int64_t rows, std::int64_t depth, const float* const* a, const float* packed,
                   std::int64_t columns, float* const* outputs) {
  kernels::multiply({.rows = rows,
                     .depth = depth,
                     .a = a,
                     .packed = packed,
                     .columns = columns,
                     .last_panel = kernels::panels(columns),
                     .outputs = outputs});
}

class AttentionStep : public Step {
 public:
  explicit AttentionStep(Attention attention) : a_(std::move(attention)) {}

  std::vector<std::size_t> reads() const override { return {a_.q.buffer, a_.k.buffer, a_.v.buffer}; }
  std::vector<std::size_t> writes() const override { return {a_.output.buffer}; }
  std::string describe() const override { return "attention"; }
  std::int64_t scratch_bytes() const override {
    return Scratch::bytes<float>(kernels::packed_size(depth(), others())) +
           Scratch::bytes<float>(kernels::packed_size(others(), columns())) + Scratch::bytes<float>(head_rows * row()) +
           3 * Scratch::bytes<float*>(head_rows);
  }

  void run(const Run& run) const override {
    share_heads(run, a_.q.sizes[0], tokens(),
                [&](std::int64_t sample, std::int64_t head, std::int64_t first_block, std::int64_t last_block,
                    std::byte* memory) { compute(run, sample, head, first_block, last_block, memory); });
  }

 private:
  std::int64_t tokens() const { return a_.q.sizes[1]; }
  std::int64_t others() const { return a_.k.sizes[1]; }
  std::int64_t depth() const { return a_.q.sizes[2]; }
  std::int64_t columns() const { return a_.v.sizes[2]; }
  std::int64_t row() const { return others() + kernels::overread; }

  void compute(const Run& run, std::int64_t sample, std::int64_t head, std::int64_t first_block,
               std::int64_t last_block, std::byte* memory) const {
    Scratch scratch(memory);
    float* keys = scratch.take<float>(kernels::packed_size(depth(), others()));
    float* values = scratch.take<float>(kernels::packed_size(others(), columns()));
    float* weights = scratch.take<float>(head_rows * row());
    const float** a = scratch.take<const float*>(head_rows);
    float** to_weights = scratch.take<float*>(head_rows);
    float** outputs = scratch.take<float*>(head_rows);
    const auto of_head = [&](const View& view) { return run.at(view, sample) + head * view.strides[0]; };
    kernels::pack(of_head(a_.k), depth(), others(), 1, a_.k.strides[1], keys);
    kernels::pack(of_head(a_.v), others(), columns(), a_.v.strides[1], 1, values);
    for (std::int64_t b = first_block; b < last_block; ++b) {
      const std::int64_t first = b * head_rows, count = std::min(head_rows, tokens() - first);
      for (std::int64_t i = 0; i < count; ++i) {
        a[i] = of_head(a_.q) + (first + i) * a_.q.strides[1];
        to_weights[i] = weights + i * row();
        outputs[i] = of_head(a_.output) + (first + i) * a_.output.strides[1];
      }
      multiply_head(count, depth(), a, keys, others(), to_weights);
      for (std::int64_t i = 0; i < count; ++i) {
        kernels::softmax(to_weights[i], others(), a_.scale);
        a[i] = to_weights[i];
      }
      multiply_head(count, others(), a, values, columns(), outputs);
    }
  }

  Attention a_;
};

class MatrixProductStep : public Step {
 public:
  explicit MatrixProductStep(MatrixProduct product) : p_(std::move(product)) {}

  std::vector<std::size_t> reads() const override { return {p_.a.buffer, p_.b.buffer}; }
  std::vector<std::size_t> writes() const override { return {p_.output.buffer}; }
  std::string describe() const override { return "product of matrices"; }
  std::int64_t scratch_bytes() const override {
    return Scratch::bytes<float>(kernels::packed_size(depth(), columns())) + 2 * Scratch::bytes<float*>(head_rows);
  }

  void run(const Run& run) const override {
    share_heads(run, p_.a.sizes[0], rows(),
                [&](std::int64_t sample, std::int64_t head, std::int64_t first_block, std::int64_t last_block,
                    std::byte* memory) { compute(run, sample, head, first_block, last_block, memory); });
  }

 private:
  std::int64_t rows() const { return p_.a.sizes[1]; }
  std::int64_t depth() const { return p_.a.sizes[2]; }
  std::int64_t columns() const { return p_.b.sizes[2]; }

  void compute(const Run& run, std::int64_t sample, std::int64_t head, std::int64_t first_block,
               std::int64_t last_block, std::byte* memory) const {
    Scratch scratch(memory);
    float* packed = scratch.take<float>(kernels::packed_size(depth(), columns()));
    const float** a = scratch.take<const float*>(head_rows);
    float** outputs = scratch.take<float*>(head_rows);
    const auto of_head = [&](const View& view) { return run.at(view, sample) + head * view.strides[0]; };
    kernels::pack(of_head(p_.b), depth(), columns(), p_.b.strides[1], p_.b.strides[2], packed);
    for (std::int64_t b = first_block; b < last_block; ++b) {
      const std::int64_t first = b * head_rows, count = std::min(head_rows, rows() - first);
      for (std::int64_t i = 0; i < count; ++i) {
        a[i] = of_head(p_.a) + (first + i) * p_.a.strides[1];
        outputs[i] = of_head(p_.output) + (first + i) * p_.output.strides[1];
      }
      multiply_head(count, depth(), a, packed, columns(), outputs);
    }
  }

  MatrixProduct p_;
};

class SoftmaxStep : public Step {
 public:
  explicit SoftmaxStep(Softmax softmax) : s_(std::move(softmax)) {
    for (std::size_t i = 0; i < s_.input.sizes.size(); ++i) {
      if (i == s_.dimension || i == s_.channel) continue;
      others_.push_back(i);
      items_ *= s_.input.sizes[i];
    }
  }

  std::vector<std::size_t> reads() const override { return {s_.input.buffer}; }
  std::vector<std::size_t> writes() const override { return {s_.output.buffer}; }
  std::string describe() const override { return "softmax"; }

  void run(const Run& run) const override {
    share_rows(run, items_, [&](std::int64_t sample, std::int64_t first, std::int64_t last) {
      for (std::int64_t item = first; item < last; ++item) {
        compute(at(s_.input, item, run.at(s_.input, sample)), at(s_.output, item, run.at(s_.output, sample)));
      }
    });
  }

 private:
  /// Where one of the other dimensions' items starts.
  float* at(const View& view, std::int64_t item, float* start) const {
    for (auto i = others_.rbegin(); i != others_.rend(); ++i) {
      start += item % view.sizes[*i] * view.strides[*i];
      item /= view.sizes[*i];
    }
    return start;
  }

  void compute(const float* x, float* y) const {
    const std::int64_t count = s_.input.sizes[s_.dimension];
    if (s_.dimension == s_.channel) {
      std::copy_n(x, count, y);
      kernels::softmax(y, count, 1);
    } else {
      kernels::softmax_over_rows(count, s_.input.sizes[s_.channel], {x, s_.input.strides[s_.dimension]},
                                 {y, s_.output.strides[s_.dimension]});
    }
  }

  Softmax s_;
  std::vector<std::size_t> others_;
  std::int64_t items_ = 1;
};

/// Calls work(sample, part) for all parts of a transfer of every sample.
void share_transfer(const Run& run, const Transfer& transfer,
                    const std::function<void(std::int64_t, std::int64_t)>& work) {
  const std::int64_t parts = transfer.parts();
  run.team->share(run.samples * parts, [&](std::int64_t item, std::byte*) { work(item / parts, item % parts); });
}

class CopyStep : public Step {
 public:
  explicit CopyStep(Copy copy) : c_(std::move(copy)), transfer_(c_.from.sizes, c_.from.strides, c_.to.strides) {}

  std::vector<std::size_t> reads() const override { return {c_.from.buffer}; }
  std::vector<std::size_t> writes() const override { return {c_.to.buffer}; }
  std::string describe() const override { return "copy"; }

  void run(const Run& run) const override {
    share_transfer(run, transfer_, [&](std::int64_t sample, std::int64_t part) {
      transfer_.run(run.at(c_.from, sample), run.at(c_.to, sample), c_.scale, part);
    });
  }

 private:
  Copy c_;
  Transfer transfer_;
};

class KnownStep : public Step {
 public:
  KnownStep(View to, Row numbers) : to_(std::move(to)), numbers_(std::move(numbers)) {}

  std::vector<std::size_t> reads() const override { return {}; }
  std::vector<std::size_t> writes() const override { return {to_.buffer}; }
  std::string describe() const override { return numbers_.shared ? "constant" : "condition"; }

  void run(const Run& run) const override {
    run.team->share(run.samples, [&](std::int64_t sample, std::byte*) {
      std::copy_n(run.at(numbers_, sample), element_count(to_.sizes), run.at(to_, sample));
    });
  }

 private:
  View to_;
  Row numbers_;
};

class InputStep : public Step {
 public:
  explicit InputStep(View to) : to_(std::move(to)), transfer_(to_.sizes, c_order(to_.sizes), to_.strides) {}

  std::vector<std::size_t> reads() const override { return {}; }
  std::vector<std::size_t> writes() const override { return {to_.buffer}; }
  std::string describe() const override { return "input"; }

  void run(const Run& run) const override {
    share_transfer(run, transfer_, [&](std::int64_t sample, std::int64_t part) {
      transfer_.run(run.input + sample * run.input_size, run.at(to_, sample), 1, part);
    });
  }

 private:
  View to_;
  Transfer transfer_;
};

class OutputStep : public Step {
 public:
  explicit OutputStep(View from)
      : from_(std::move(from)), transfer_(from_.sizes, from_.strides, c_order(from_.sizes)) {}

  std::vector<std::size_t> reads() const override { return {from_.buffer}; }
  std::vector<std::size_t> writes() const override { return {}; }
  std::string describe() const override { return "output"; }

  void run(const Run& run) const override {
    share_transfer(run, transfer_, [&](std::int64_t sample, std::int64_t part) {
      transfer_.run(run.at(from_, sample), run.output + sample * run.output_size, 1, part);
    });
  }

 private:
  View from_;
  Transfer transfer_;
};

}  // namespace

std::unique_ptr<Step> normalization_step(Normalization normalization) {
  if (normalization.moments == Moments::group)
    return std::make_unique<GroupNormalizationStep>(std::move(normalization));
  return std::make_unique<RowNormalizationStep>(std::move(normalization));
}
std::unique_ptr<Step> affine_step(Affine affine) { return std::make_unique<AffineStep>(std::move(affine)); }
std::unique_ptr<Step> elementwise_product_step(ElementwiseProduct product) {
  return std::make_unique<ElementwiseProductStep>(std::move(product));
}
std::unique_ptr<Step> depthwise_step(Depthwise depthwise) {
  require_within(depthwise.gather, depthwise.input, depthwise.output);
  return std::make_unique<DepthwiseStep>(std::move(depthwise));
}
std::unique_ptr<Step> attention_step(Attention attention) {
  return std::make_unique<AttentionStep>(std::move(attention));
}
std::unique_ptr<Step> matrix_product_step(MatrixProduct product) {
  return std::make_unique<MatrixProductStep>(std::move(product));
}
std::unique_ptr<Step> softmax_step(Softmax softmax) { return std::make_unique<SoftmaxStep>(std::move(softmax)); }
std::unique_ptr<Step> copy_step(Copy copy) { return std::make_unique<CopyStep>(std::move(copy)); }
std::unique_ptr<Step> known_step(View to, Row numbers) {
  return std::make_unique<KnownStep>(std::move(to), std::move(numbers));
}
std::unique_ptr<Step> input_step(View to) { return std::make_unique<InputStep>(std::move(to)); }
std::unique_ptr<Step> output_step(View from) { return std::make_unique<OutputStep>(std::move(from)); }

}  // namespace onestep::engine
