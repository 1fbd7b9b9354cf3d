#include "run/steps.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "run/places.hpp"
#include "run/scratch.hpp"
#include "run/transfer.hpp"

namespace onestep::engine {
namespace {

/// Some rows of a sample: one of the items into which all samples' rows are cut.
struct Some {
  static constexpr std::int64_t most = 32;

  std::int64_t sample, first, last;

  Some(std::int64_t item, std::int64_t rows) {
    const std::int64_t items = divide_up(rows, most), part = item % items;
    sample = item / items;
    first = part * rows / items;
    last = (part + 1) * rows / items;
  }
  static std::int64_t items(const Run& run, std::int64_t rows) { return run.samples * divide_up(rows, most); }
};

double numbers(const Run& run, const Rows& rows) {
  return static_cast<double>(run.samples) * static_cast<double>(rows.count) * static_cast<double>(rows.channels);
}
double numbers(const Run& run, const View& view) {
  return static_cast<double>(run.samples) * static_cast<double>(element_count(view.sizes));
}

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
  /// Moments of every portion of a sample; then a multiplier and an addend of each of its channels.
  std::int64_t shared_bytes() const override {
    return Scratch::bytes<double>(portions() * 2 * channels()) +
           2 * Scratch::bytes<float>(channels() + kernels::overread);
  }

  // Where there are channels enough, each thread does all of some groups, and waits for nobody. Else the rows are
  // shared, once for the moments and once for what they are for.
  std::int64_t passes() const override { return 3; }
  std::int64_t items(const Run& run, std::int64_t pass) const override {
    if (chunks(run) > 0) return pass == 0 ? run.samples * chunks(run) : 0;
    return pass == 0 ? run.samples * portions() : pass == 1 ? run.samples : Some::items(run, n_.input.count);
  }
  double cost(const Run& run, std::int64_t pass) const override {
    if (pass == 1) return touch * static_cast<double>(run.samples * portions() * 2 * channels());
    return (chunks(run) > 0 ? 4 : 2) * touch * numbers(run, n_.input);
  }

  void do_item(const Run& run, std::int64_t pass, std::int64_t item, std::byte*) const override {
    if (const std::int64_t chunks = this->chunks(run); chunks > 0) {
      const std::int64_t sample = item / chunks, chunk = item % chunks, group = channels() / n_.groups;
      const Channels some{chunk * n_.groups / chunks * group, (chunk + 1) * n_.groups / chunks * group};
      for (std::int64_t portion = 0; portion < portions(); ++portion) sum_portion(run, sample, portion, some);
      find_coefficients(run, sample, some);
      normalize(run, sample, 0, n_.input.count, some);
    } else if (pass == 0) {
      sum_portion(run, item / portions(), item % portions(), {0, channels()});
    } else if (pass == 1) {
      find_coefficients(run, item, {0, channels()});
    } else {
      const Some some(item, n_.input.count);
      normalize(run, some.sample, some.first, some.last, {0, channels()});
    }
  }

 private:
  std::int64_t channels() const { return n_.input.channels; }
  /// Of rows, whose moments are summed one after another. Of the shape alone, as sums are to be the same on any number
  /// of threads.
  std::int64_t portions() const { return std::min<std::int64_t>(divide_up(n_.input.count, 128), 16); }

  struct Channels {
    std::int64_t first, last;
  };

  /// Into which the groups are cut: of some lines of the cache each, and as many as the threads need. 0: rows are cut.
  std::int64_t chunks(const Run& run) const {
    constexpr std::int64_t narrow = 16;  // floats of a line
    const std::int64_t wanted = divide_up(run.cut_for, run.samples);
    return wanted <= std::min(n_.groups, channels() / narrow) ? wanted : 0;
  }

  struct Shared {
    double* moments;  ///< [portions][2][channels]
    float *multiplier, *addend;
  };
  Shared of(const Run& run, std::int64_t sample) const {
    Scratch shared(run.shared + sample * shared_bytes());
    double* const moments = shared.take<double>(portions() * 2 * channels());
    float* const multiplier = shared.take<float>(channels() + kernels::overread);
    return {moments, multiplier, shared.take<float>(channels() + kernels::overread)};
  }

  void sum_portion(const Run& run, std::int64_t sample, std::int64_t portion, Channels some) const {
    const std::int64_t rows = n_.input.count, count = some.last - some.first;
    const std::int64_t first = portion * rows / portions(), last = (portion + 1) * rows / portions();
    double* sums = of(run, sample).moments + portion * 2 * channels() + some.first;
    double* squares = sums + channels();
    std::fill_n(sums, count, 0.0);
    std::fill_n(squares, count, 0.0);
    const float* x = run.at(n_.input, sample) + some.first;
    // Relative to the first row, so that a mean far from zero does not drown the variance.
    kernels::moments(x + first * n_.input.stride, last - first, n_.input.stride, count, x, sums, squares);
  }

  void normalize(const Run& run, std::int64_t sample, std::int64_t first, std::int64_t last, Channels some) const {
    const Shared shared = of(run, sample);
    const auto [x, x_stride] = input_from(run, n_.input, sample, first);
    const auto [y, y_stride] = output_from(run, n_.output, sample, first);
    kernels::affine({.rows = last - first,
                     .channels = some.last - some.first,
                     .x = {x + some.first, x_stride},
                     .multiplier = shared.multiplier + some.first,
                     .addend = shared.addend + some.first,
                     .activation = n_.activation,
                     .y = {y + some.first, y_stride}});
  }

  /// The normalization as a multiplier and an addend of each channel.
  void find_coefficients(const Run& run, std::int64_t sample, Channels some) const {
    const float* shift = run.at(n_.input, sample);
    const auto [moments, multiplier, addend] = of(run, sample);
    const float* scale = run.at(n_.multiplier, sample);
    const float* offset = run.at(n_.addend, sample);
    const std::int64_t group = channels() / n_.groups;
    const auto rows = static_cast<double>(n_.input.count);
    for (std::int64_t first = some.first; first < some.last; first += group) {
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
    for (std::int64_t portion = 0; portion < portions(); ++portion) total += moments[portion * 2 * channels() + which];
    return total;
  }

  Normalization n_;
};

class RowNormalizationStep : public Step {
 public:
  explicit RowNormalizationStep(Normalization normalization) : n_(std::move(normalization)) {}

  std::vector<std::size_t> reads() const override { return {n_.input.buffer}; }
  std::vector<std::size_t> writes() const override { return {n_.output.buffer}; }
  std::string describe() const override {
    return (centered() ? "layer normalization + scale, shift" : "RMS normalization + scale, shift") +
           kernels::with_activation(n_.activation);
  }

  std::int64_t items(const Run& run, std::int64_t) const override { return Some::items(run, n_.input.count); }
  double cost(const Run& run, std::int64_t) const override { return 3 * touch * numbers(run, n_.input); }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte*) const override {
    const Some some(item, n_.input.count);
    kernels::normalize_rows({.rows = some.last - some.first,
                             .channels = n_.input.channels,
                             .x = input_from(run, n_.input, some.sample, some.first),
                             .multiplier = run.at(n_.multiplier, some.sample),
                             .addend = run.at(n_.addend, some.sample),
                             .epsilon = n_.epsilon,
                             .floor = n_.floor,
                             .centered = centered(),
                             .activation = n_.activation,
                             .y = output_from(run, n_.output, some.sample, some.first)});
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

  std::int64_t items(const Run& run, std::int64_t) const override { return Some::items(run, a_.input.count); }
  double cost(const Run& run, std::int64_t) const override { return 3 * touch * numbers(run, a_.input); }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte*) const override {
    const auto [sample, first, last] = Some(item, a_.input.count);
    kernels::affine({.rows = last - first,
                     .channels = a_.input.channels,
                     .x = input_from(run, a_.input, sample, first),
                     .multiplier = run.at(a_.multiplier, sample),
                     .addend = run.at(a_.addend, sample),
                     .residual = a_.residual ? input_from(run, *a_.residual, sample, first) : kernels::Input{},
                     .residual_scale = a_.residual_scale,
                     .activation = a_.activation,
                     .y = output_from(run, a_.output, sample, first)});
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

  std::int64_t items(const Run& run, std::int64_t) const override { return Some::items(run, p_.output.count); }
  double cost(const Run& run, std::int64_t) const override { return 3 * touch * numbers(run, p_.output); }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte*) const override {
    const auto [sample, first, last] = Some(item, p_.output.count);
    kernels::multiply_elements(last - first, p_.output.channels, input_from(run, p_.a, sample, first),
                               input_from(run, p_.b, sample, first), output_from(run, p_.output, sample, first));
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

  std::int64_t items(const Run& run, std::int64_t) const override { return Some::items(run, d_.gather.pixels); }
  double cost(const Run& run, std::int64_t) const override {
    return touch * static_cast<double>(d_.gather.taps + 1) * numbers(run, d_.output);
  }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte* memory) const override {
    const std::int64_t taps = d_.gather.taps;
    const auto [sample, first, last] = Some(item, d_.gather.pixels);
    const float** x = Scratch(memory).take<const float*>(taps);
    const float* input = run.at(d_.input, sample);
    float* output = run.at(d_.output, sample);
    for (std::int64_t p = first; p < last; ++p) {
      for (std::int64_t t = 0; t < taps; ++t) {
        const std::int64_t row = d_.gather.index[static_cast<std::size_t>(p * taps + t)];
        x[t] = row < 0 ? nullptr : input + row * d_.input.stride;
      }
      compute(x, p, output + p * d_.output.stride);
    }
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

/// The blocks [first, last) of head_rows rows of one head: an item of a product of every head. What a head's rows are
/// multiplied with is packed anew for each item: there are no more than the threads need.
struct HeadBlocks {
  std::int64_t sample, head, first, last;

  HeadBlocks(const Run& run, std::int64_t heads, std::int64_t rows, std::int64_t item) {
    const std::int64_t blocks = divide_up(rows, head_rows), parts = parts_of(run, heads, rows), part = item % parts;
    head = item / parts % heads;
    sample = item / parts / heads;
    first = part * blocks / parts;
    last = (part + 1) * blocks / parts;
  }
  static std::int64_t items(const Run& run, std::int64_t heads, std::int64_t rows) {
    return run.samples * heads * parts_of(run, heads, rows);
  }

 private:
  static std::int64_t parts_of(const Run& run, std::int64_t heads, std::int64_t rows) {
    return std::clamp<std::int64_t>(divide_up(run.cut_for, run.samples * heads), 1, divide_up(rows, head_rows));
  }
};

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

  std::int64_t items(const Run& run, std::int64_t) const override {
    return HeadBlocks::items(run, a_.q.sizes[0], tokens());
  }
  double cost(const Run& run, std::int64_t) const override {
    // A weight is a sum of products, an exponential, and a factor.
    const auto weights = static_cast<double>(run.samples * a_.q.sizes[0] * tokens() * others());
    return weights * (static_cast<double>(depth() + columns()) + 4 * touch);
  }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte* memory) const override {
    const HeadBlocks blocks(run, a_.q.sizes[0], tokens(), item);
    compute(run, blocks.sample, blocks.head, blocks.first, blocks.last, memory);
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

  std::int64_t items(const Run& run, std::int64_t) const override {
    return HeadBlocks::items(run, p_.a.sizes[0], rows());
  }
  double cost(const Run& run, std::int64_t) const override {
    return static_cast<double>(run.samples * p_.a.sizes[0] * rows() * depth()) * static_cast<double>(columns());
  }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte* memory) const override {
    const HeadBlocks blocks(run, p_.a.sizes[0], rows(), item);
    compute(run, blocks.sample, blocks.head, blocks.first, blocks.last, memory);
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
      rows_ *= s_.input.sizes[i];
    }
  }

  std::vector<std::size_t> reads() const override { return {s_.input.buffer}; }
  std::vector<std::size_t> writes() const override { return {s_.output.buffer}; }
  std::string describe() const override { return "softmax"; }

  std::int64_t items(const Run& run, std::int64_t) const override { return Some::items(run, rows_); }
  double cost(const Run& run, std::int64_t) const override { return 4 * touch * numbers(run, s_.input); }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte*) const override {
    const auto [sample, first, last] = Some(item, rows_);
    for (std::int64_t row = first; row < last; ++row)
      compute(at(s_.input, row, run.at(s_.input, sample)), at(s_.output, row, run.at(s_.output, sample)));
  }

 private:
  /// Where one of them starts.
  float* at(const View& view, std::int64_t row, float* start) const {
    for (auto i = others_.rbegin(); i != others_.rend(); ++i) {
      start += row % view.sizes[*i] * view.strides[*i];
      row /= view.sizes[*i];
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
  std::int64_t rows_ = 1;  ///< Of numbers, or of channels, one softmax each.
};

/// What moves all of a view to or from elsewhere; a part of one sample an item.
class TransferStep : public Step {
 public:
  TransferStep(View view, Transfer transfer) : view_(std::move(view)), transfer_(std::move(transfer)) {}

  std::int64_t items(const Run& run, std::int64_t) const override { return run.samples * transfer_.parts(); }
  double cost(const Run& run, std::int64_t) const override { return 2 * touch * numbers(run, view_); }

 protected:
  void transfer(std::int64_t item, const float* from, float* to, float scale = 1) const {
    transfer_.run(from, to, scale, item % transfer_.parts());
  }
  std::int64_t sample_of(std::int64_t item) const { return item / transfer_.parts(); }

  View view_;

 private:
  Transfer transfer_;
};

class CopyStep : public TransferStep {
 public:
  explicit CopyStep(Copy copy)
      : TransferStep(copy.to, {copy.from.sizes, copy.from.strides, copy.to.strides}), c_(std::move(copy)) {}

  std::vector<std::size_t> reads() const override { return {c_.from.buffer}; }
  std::vector<std::size_t> writes() const override { return {c_.to.buffer}; }
  std::string describe() const override { return "copy"; }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte*) const override {
    transfer(item, run.at(c_.from, sample_of(item)), run.at(c_.to, sample_of(item)), c_.scale);
  }

 private:
  Copy c_;
};

class KnownStep : public Step {
 public:
  KnownStep(View to, Row numbers) : to_(std::move(to)), numbers_(std::move(numbers)) {}

  std::vector<std::size_t> reads() const override { return {}; }
  std::vector<std::size_t> writes() const override { return {to_.buffer}; }
  std::string describe() const override { return numbers_.shared ? "constant" : "condition"; }

  std::int64_t items(const Run& run, std::int64_t) const override { return run.samples; }
  double cost(const Run& run, std::int64_t) const override { return 2 * touch * numbers(run, to_); }

  void do_item(const Run& run, std::int64_t, std::int64_t sample, std::byte*) const override {
    std::copy_n(run.at(numbers_, sample), element_count(to_.sizes), run.at(to_, sample));
  }

 private:
  View to_;
  Row numbers_;
};

class InputStep : public TransferStep {
 public:
  explicit InputStep(const View& to) : TransferStep(to, {to.sizes, c_order(to.sizes), to.strides}) {}

  std::vector<std::size_t> reads() const override { return {}; }
  std::vector<std::size_t> writes() const override { return {view_.buffer}; }
  std::string describe() const override { return "input"; }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte*) const override {
    transfer(item, run.input + sample_of(item) * run.input_size, run.at(view_, sample_of(item)));
  }
};

class OutputStep : public TransferStep {
 public:
  explicit OutputStep(const View& from) : TransferStep(from, {from.sizes, from.strides, c_order(from.sizes)}) {}

  std::vector<std::size_t> reads() const override { return {view_.buffer}; }
  std::vector<std::size_t> writes() const override { return {}; }
  std::string describe() const override { return "output"; }

  void do_item(const Run& run, std::int64_t, std::int64_t item, std::byte*) const override {
    transfer(item, run.at(view_, sample_of(item)), run.output + sample_of(item) * run.output_size);
  }
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
std::unique_ptr<Step> input_step(const View& to) { return std::make_unique<InputStep>(to); }
std::unique_ptr<Step> output_step(const View& from) { return std::make_unique<OutputStep>(from); }

}  // namespace onestep::engine
