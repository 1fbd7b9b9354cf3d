#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace c10 {
class WarningHandler;
}

namespace onestep::engine {

/// A place for one value of every sample, planned before the first run.
struct Buffer {
  std::int64_t size = 0;    ///< Floats a sample.
  std::int64_t offset = 0;  ///< In the workspace, floats a sample.
};

/// Numbers in a buffer, of each sample alike: sizes and strides of any number of dimensions, in floats.
struct View {
  std::size_t buffer = 0;
  std::int64_t offset = 0;
  std::vector<std::int64_t> sizes, strides;
};

/// Rows of channels in a buffer, of each sample alike.
struct Rows {
  std::size_t buffer = 0;
  std::int64_t offset = 0;
  std::int64_t count = 0, stride = 0;
  std::int64_t channels = 0;
};

/// A vector of numbers, a channel each: the same for all samples, or a sample's own since it depends on its noise level
/// or label.
struct Row {
  std::shared_ptr<const std::vector<float>> shared = {};
  std::int64_t offset = 0;  ///< In the sample's conditions, where `shared` is null.
};

/// What the operations of one run work on: some samples, in memory.
struct Run {
  std::int64_t samples = 0;
  float* workspace = nullptr;
  const Buffer* buffers = nullptr;
  const float* input = nullptr;              ///< [samples, ...] in C order.
  float* output = nullptr;                   ///< The same.
  std::int64_t input_size = 0;               ///< Floats of a sample's input,
  std::int64_t output_size = 0;              ///< and of its output.
  const float* const* conditions = nullptr;  ///< [samples]
  std::byte* shared = nullptr;               ///< What a step's items tell each other.
  std::int64_t threads = 1;                  ///< Of this process, for all callers,
  std::int64_t cut_for = 1;                  ///< and those for which the work is cut.
  c10::WarningHandler* warnings = nullptr;   ///< The caller's, for what libtorch warns of on other threads.

  float* at(std::size_t buffer, std::int64_t sample) const {
    return workspace + buffers[buffer].offset * samples + buffers[buffer].size * sample;
  }
  float* at(const Rows& rows, std::int64_t sample) const { return at(rows.buffer, sample) + rows.offset; }
  float* at(const View& view, std::int64_t sample) const { return at(view.buffer, sample) + view.offset; }
  const float* at(const Row& row, std::int64_t sample) const {
    return row.shared ? row.shared->data() : conditions[sample] + row.offset;
  }
};

/// One step of a compiled network: passes one after another, each of items that several threads do in any order.
class Step {
 public:
  virtual ~Step() = default;

  virtual std::int64_t passes() const { return 1; }
  virtual std::int64_t items(const Run& run, std::int64_t pass) const = 0;
  /// Of all items of a pass, about, in multiplications of float32.
  virtual double cost(const Run& run, std::int64_t pass) const = 0;
  virtual void do_item(const Run& run, std::int64_t pass, std::int64_t item, std::byte* scratch) const = 0;

  /// Bytes that one thread needs for itself.
  virtual std::int64_t scratch_bytes() const { return 0; }
  /// Bytes a sample that its items need together.
  virtual std::int64_t shared_bytes() const { return 0; }
  virtual std::vector<std::size_t> reads() const = 0;
  virtual std::vector<std::size_t> writes() const = 0;
  /// What it does, for people: "convolution 3x3, Winograd F(4, 3) + residual".
  virtual std::string describe() const = 0;
};

/// What reading or writing one number costs.
inline constexpr double touch = 8;

/// Runs steps one after another, on this thread and on others.
void run_steps(std::span<const std::unique_ptr<Step>> steps, const Run& run);

}  // namespace onestep::engine
