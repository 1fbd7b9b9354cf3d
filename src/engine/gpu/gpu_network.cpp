#include "gpu/gpu_network.hpp"

#include <ATen/DeviceAccelerator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <map>
#include <mutex>

#include "gpu/graph.hpp"
#include "gpu/rewrites.hpp"
#include "libtorch/computes_in.hpp"
#include "libtorch/require_near.hpp"
#include "onestep/tensor/device.hpp"
#include "torch_error.hpp"
#include "trace/trace.hpp"

namespace onestep::engine {
namespace {

using c10::impl::VirtualGuardImpl;
using torch::Tensor;
using Clock = std::chrono::steady_clock;

/// Bytes of conditions kept at most for inputs of one shape.
constexpr std::size_t most_kept = 256 << 20;
/// Shapes whose graphs are kept for a stream: a batch, the rest of the samples, and both again for guidance.
constexpr std::size_t most_shapes = 4;

/// Operations in their order. A value is let go of after its last use.
class Code {
 public:
  using Slots = std::vector<Tensor>;  ///< By value.

  /// Those operations of one source that `wanted` needs.
  Code(const Trace& trace, Source source, const std::vector<ValueId>& wanted) {
    std::vector<bool> needed(trace.values.size());
    for (const ValueId value : wanted) needed[value] = true;
    for (auto operation = trace.operations.rbegin(); operation != trace.operations.rend(); ++operation) {
      const bool computes = std::any_of(operation->results.begin(), operation->results.end(),
                                        [&](ValueId result) { return needed[result]; });
      if (!computes || trace.values[operation->results[0]].source != source) continue;
      std::vector<ValueId> done;
      for (const ValueId result : operation->results) {
        if (!needed[result]) done.push_back(result);
      }
      for (const ValueId value : tensors_of(*operation)) {
        if (!needed[value]) (trace.values[value].source == source ? done : taken_).push_back(value);
        needed[value] = true;
      }
      operations.push_back(*operation);
      done_.push_back(std::move(done));
    }
    std::reverse(operations.begin(), operations.end());
    std::reverse(done_.begin(), done_.end());
  }

  void run(Slots& slots, const std::function<void(std::size_t)>& after_each = {}) const {
    for (std::size_t i = 0; i < operations.size(); ++i) {
      const std::vector<Tensor> results = call(operations[i], [&](ValueId value) { return slots[value]; });
      for (std::size_t k = 0; k < results.size(); ++k) slots[operations[i].results[k]] = results[k];
      for (const ValueId value : done_[i]) slots[value].reset();
      if (after_each) after_each(i);
    }
  }

  /// The values that they take from another source.
  std::vector<ValueId> taken(const Trace& trace, Source source) const {
    std::vector<ValueId> values;
    for (const ValueId value : taken_) {
      if (trace.values[value].source == source) values.push_back(value);
    }
    return values;
  }

  std::vector<Operation> operations;

 private:
  std::vector<ValueId> taken_;              // from other sources
  std::vector<std::vector<ValueId>> done_;  // after each
};

/// A network for inputs of one shape.
class Program {
 public:
  /// can_capture: of the whole network, for inputs of any shape.
  Program(const Trace& trace, torch::Device device, Precision precision, bool& can_capture)
      : device_(device),
        precision_(precision),
        network_can_capture_(can_capture),
        inputs_(trace.inputs),
        result_(trace.result),
        samples_(trace, Source::sample, {result_}),
        wanted_(samples_.taken(trace, Source::condition)),
        conditions_(trace, Source::condition, wanted_),
        constants_(trace.values.size()) {
    for (const Code* code : {&samples_, &conditions_}) {
      for (const ValueId value : code->taken(trace, Source::constant)) constants_[value] = trace.values[value].constant;
    }
  }

  Tensor forward(const NetworkInput& input) {
    const auto& [key, known] = conditions(input);
    // The first call, which may be the only one, also is what a graph needs before it: kernels are loaded and chosen.
    const bool is_first = !std::exchange(was_called_, true);
    if (!is_first && !graph_ && can_capture_ && network_can_capture_) capture(input.x, key, known);
    if (!graph_) return compute(input.x, known).clone();
    x_.copy_(input.x, /*non_blocking=*/true);
    if (shown_ != key && !known.empty()) {
      at::_foreach_copy_(conditions_in_, known, /*non_blocking=*/true);
      shown_ = key;
    }
    graph_->replay();
    return output_.clone();
  }

  std::vector<EngineStep> measure(const NetworkInput& input) {
    const std::vector<Tensor>& known = conditions(input).second;
    std::vector<EngineStep> steps(samples_.operations.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::string& name = samples_.operations[i].name;
      steps[i].description = name.starts_with("aten::") ? name.substr(6) : name;
    }
    at::accelerator::synchronizeDevice(device_.index());
    auto started = Clock::now();
    compute(input.x, known, [&](std::size_t i) {
      at::accelerator::synchronizeDevice(device_.index());
      const auto now = Clock::now();
      steps[i].seconds = std::chrono::duration<double>(now - started).count();
      started = now;
    });
    return steps;
  }

  bool has_graph() const { return graph_ != nullptr; }

 private:
  using Known = std::map<std::string, std::vector<Tensor>>;

  /// What the operations on samples take of the conditions.
  const Known::value_type& conditions(const NetworkInput& input) {
    std::vector<Tensor> given = input.conditions;
    std::string key;
    for (Tensor& part : given) {
      part = part.contiguous();
      key.append(static_cast<const char*>(part.const_data_ptr()), part.nbytes());
    }
    if (const auto found = known_.find(key); found != known_.end()) return *found;

    Code::Slots slots = constants_;
    for (std::size_t i = 0; i < given.size(); ++i) slots[inputs_[i + 1]] = on_device(given[i], device_);
    const ComputesIn exactly(device_.type(), Precision::fp32);
    conditions_.run(slots);
    std::vector<Tensor> values;
    std::size_t bytes = 0;
    for (const ValueId value : wanted_) {
      values.push_back(slots[value].contiguous());
      bytes += values.back().nbytes();
    }
    if ((known_.size() + 1) * bytes > most_kept) known_.clear();
    return *known_.emplace(std::move(key), std::move(values)).first;
  }

  Tensor compute(const Tensor& x, const std::vector<Tensor>& known,
                 const std::function<void(std::size_t)>& after_each = {}) const {
    // What is converted within a graph is its own.
    const ComputesIn reduced(device_.type(), precision_, /*keeps_weights=*/false);
    Code::Slots slots = constants_;
    slots[inputs_[0]] = x;
    for (std::size_t i = 0; i < wanted_.size(); ++i) slots[wanted_[i]] = known[i];
    samples_.run(slots, after_each);
    return slots[result_].to(torch::kFloat32, false, false, at::MemoryFormat::Contiguous);
  }

  /// Captures all operations on samples, on a stream beside the caller's.
  void capture(const Tensor& x, const std::string& key, const std::vector<Tensor>& known) {
    can_capture_ = false;  // should it fail
    auto graph = new_gpu_graph(device_.type());
    if (!graph) return;
    const VirtualGuardImpl backend(device_.type());
    const c10::Stream caller = backend.getStream(device_), beside = backend.getStreamFromGlobalPool(device_);
    const auto follow = [&](const c10::Stream& first, const c10::Stream& then) {
      c10::Event done(device_.type());
      done.record(first);
      done.block(then);
    };
    try {
      at::accelerator::emptyCache();  // of what the graph cannot use
      x_ = x.clone(at::MemoryFormat::Contiguous);
      for (const Tensor& value : known) conditions_in_.push_back(value.clone());
      follow(caller, beside);
      const c10::StreamGuard guard(beside);
      compute(x_, conditions_in_);  // what libraries allocate for a stream is there then
      record(*graph);
      graph_ = std::move(graph);
      shown_ = key;
    } catch (const c10::OutOfMemoryError&) {  // without a graph it may do
    } catch (const std::exception&) {         // something in it waits for the device
      network_can_capture_ = false;
    }
    follow(beside, caller);
    if (graph_) return;
    x_ = output_ = Tensor();
    conditions_in_.clear();
  }

  void record(GpuGraph& graph) {
    graph.capture_begin();
    try {
      output_ = compute(x_, conditions_in_);
    } catch (const std::exception&) {
      try {
        graph.capture_end();
      } catch (const std::exception&) {  // for the same reason
      }
      throw;
    }
    graph.capture_end();
  }

  torch::Device device_;
  Precision precision_;
  bool& network_can_capture_;
  std::vector<ValueId> inputs_;
  ValueId result_;
  Code samples_;
  std::vector<ValueId> wanted_;  // of the conditions, by the operations on samples
  Code conditions_;
  Code::Slots constants_;
  Known known_;

  bool was_called_ = false, can_capture_ = true;
  std::unique_ptr<GpuGraph> graph_;
  Tensor x_, output_;                  // where the graph reads and writes
  std::vector<Tensor> conditions_in_;  // and its conditions
  std::string shown_;                  // whose conditions they are
};

class GpuNetwork : public Network {
 public:
  GpuNetwork(const torch::jit::Module& module, std::unique_ptr<Network> as_it_is, Precision precision)
      : Network(as_it_is->name(), as_it_is->signature(), as_it_is->device()),
        module_(module),
        as_it_is_(std::move(as_it_is)),
        precision_(precision),
        converted_by_(device().type()) {}

  /// Throws NotCompiled where inputs of this shape can't be compiled, or are to something else than `expected`; after
  /// it, `forward` takes the same way.
  void require(const NetworkInput& trial, const Tensor& expected) {
    const c10::DeviceGuard device(trial.x.device());
    const std::lock_guard lock(mutex_);
    Shape& shape = shape_for(trial);
    if (!shape.program) throw NotCompiled(shape.why_not);
    shape.is_trusted = true;
    // An operation after the other, then as a graph, then as a graph of other numbers.
    const bool reduced = precision_ != Precision::fp32;
    for (int turn = 0; turn < 2; ++turn) require_near(shape.program->forward(trial), expected, reduced);
    const NetworkInput turned = trial.with_each([](const Tensor& part) { return part.flip(0); });
    require_near(shape.program->forward(turned), expected.flip(0), reduced);
  }

 protected:
  Tensor run(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    const c10::DeviceGuard device(input.x.device());
    const std::lock_guard lock(mutex_);
    Shape& shape = shape_for(input);
    if (!shape.program) return as_it_is_->forward(input);
    Tensor output = shape.program->forward(input);
    if (shape.is_trusted) return output;
    const Tensor expected = as_it_is_->forward(input);
    if (!expected.isfinite().all().item<bool>()) return expected;  // which shows nothing
    try {
      require_near(output, expected, precision_ != Precision::fp32);
      shape.is_trusted = true;
      return output;
    } catch (const NotCompiled& reason) {
      shape.why_not = reason.what();
      shape.program.reset();
      return expected;
    }
  }

  EngineReport measure(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    run(input);  // the first call shows whether the program is used, the second captures
    const c10::DeviceGuard device(input.x.device());
    const std::lock_guard lock(mutex_);
    Shape& shape = shape_for(input);
    if (!shape.program) {
      EngineReport report = as_it_is_->report(input);
      report.why_not = shape.why_not;
      return report;
    }
    EngineReport report;
    report.compiled = true;
    report.precision = precision_;
    for (int turn = 0; turn < 2; ++turn) {
      const auto started = Clock::now();
      shape.program->forward(input);
      at::accelerator::synchronizeDevice(input.x.device().index());
      report.seconds = std::chrono::duration<double>(Clock::now() - started).count();
    }
    report.hardware = input.x.device().str();
    report.is_one_graph = shape.program->has_graph();
    report.steps = shape.program->measure(input);
    return report;
  }

 private:
  using Sizes = std::vector<std::vector<std::int64_t>>;

  struct Shape {
    Sizes sizes;                       // of x and of the conditions
    c10::Stream stream;                // work on two must not share a graph's memory
    std::unique_ptr<Program> program;  // or none, and
    std::string why_not;
    bool is_trusted = false;  // compared with the network as it is
  };

  static Sizes sizes_of(const NetworkInput& input) {
    Sizes sizes{input.x.sizes().vec()};
    for (const Tensor& condition : input.conditions) sizes.push_back(condition.sizes().vec());
    return sizes;
  }

  /// Whether they differ in the number of samples alone.
  static bool are_alike(const Sizes& a, const Sizes& b) {
    return std::ranges::equal(
        a, b, [](const auto& x, const auto& y) { return std::equal(x.begin() + 1, x.end(), y.begin() + 1, y.end()); });
  }

  /// The one for inputs of this shape, in front of the others.
  Shape& shape_for(const NetworkInput& input) {
    const c10::Stream stream = VirtualGuardImpl(input.x.device().type()).getStream(input.x.device());
    const Sizes sizes = sizes_of(input);
    std::size_t on_stream = 0;
    auto last = shapes_.end();
    bool is_trusted = false;
    for (auto shape = shapes_.begin(); shape != shapes_.end(); ++shape) {
      is_trusted |= shape->is_trusted && are_alike(shape->sizes, sizes);
      if (shape->stream != stream) continue;
      if (shape->sizes == sizes) {
        shapes_.splice(shapes_.begin(), shapes_, shape);
        return shapes_.front();
      }
      ++on_stream;
      last = shape;
    }
    Shape shape{sizes, stream, nullptr, {}, is_trusted};
    try {
      const ComputesIn exactly(input.x.device().type(), Precision::fp32);
      Trace traced = trace(module_, input);
      join_attention(traced);
      join_scale_and_shift(traced);
      allow_any_layout(traced);
      if (precision_ != Precision::fp32) convert(traced, stream);
      shape.program = std::make_unique<Program>(traced, input.x.device(), precision_, can_capture_);
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const std::exception& reason) {
      shape.why_not = in_one_line(reason);
    }
    if (on_stream == most_shapes) shapes_.erase(last);
    shapes_.push_front(std::move(shape));
    return shapes_.front();
  }

  /// Weights that another stream converted are there once it has come so far.
  void convert(Trace& traced, const c10::Stream& stream) {
    converted_by_.block(stream);
    convert_products(traced, ComputesIn::scalar_type(precision_), converted_);
    converted_by_.record(stream);
  }

  torch::jit::Module module_;
  std::unique_ptr<Network> as_it_is_;
  Precision precision_;
  std::mutex mutex_;
  bool can_capture_ = true;
  std::list<Shape> shapes_;  // the last used first
  Converted converted_;
  c10::Event converted_by_;
};

}  // namespace

std::unique_ptr<Network> compile_for_gpu(const torch::jit::Module& module, std::unique_ptr<Network> as_it_is,
                                         const NetworkInput& trial, const std::function<Tensor()>& expected,
                                         Precision precision) {
  const torch::InferenceMode guard;
  auto network = std::make_unique<GpuNetwork>(module, std::move(as_it_is), precision);
  network->require(trial, expected());
  return network;
}

bool has_fast_bf16(const torch::Device& device) {
  const c10::DeviceGuard guard(device);
  return device.is_cuda() && at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8();
}

}  // namespace onestep::engine
