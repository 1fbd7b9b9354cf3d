#include "cpu/cpu_network.hpp"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <mutex>

#include "kernels/kernels.hpp"
#include "libtorch/require_near.hpp"
#include "lower/lower.hpp"
#include "run/lines.hpp"
#include "run/scratch.hpp"
#include "run/team.hpp"
#include "seconds_since.hpp"
#include "threads.hpp"
#include "torch_error.hpp"
#include "trace/trace.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;

/// Memory for one run at a time.
struct Workspace {
  Lines<float> floats;
  Lines<std::byte> shared;

  /// As much as a run of `samples` samples needs, or more.
  void make_room(const Program& program, std::int64_t samples) {
    const auto wanted = static_cast<std::size_t>(program.workspace * samples + kernels::overread);
    if (floats.size() < wanted) floats = Lines<float>(wanted);
    const auto bytes = static_cast<std::size_t>(program.shared_bytes * samples);
    if (shared.size() < bytes) shared = Lines<std::byte>(bytes);
  }
};

/// Workspaces that no run is using.
class WorkspacePool {
 public:
  std::unique_ptr<Workspace> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Workspace>();
    auto taken = std::move(free_.front());
    free_.pop_front();
    return taken;
  }
  void give_back(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex_);
    free_.push_front(std::move(workspace));
  }

 private:
  std::mutex mutex_;
  std::list<std::unique_ptr<Workspace>> free_;
};

/// A program, and what runs it.
class CompiledShape {
 public:
  CompiledShape(Program program, std::optional<kernels::bf16::Unit> unit, WorkspacePool& pool)
      : program_(std::move(program)), unit_(unit), pool_(pool) {}

  Tensor run(const NetworkInput& input) const {
    const LibtorchThreads alone(1);
    const Tensor x = input.x.contiguous();
    Tensor output = new_output(x.size(0));
    const std::int64_t samples = x.size(0);
    const std::vector<Conditions::Record> records = program_.conditions->records(input);

    const std::int64_t own = threads_of_each_caller(threads());
    // Samples apart where there are enough of them: threads then seldom wait for each other.
    const std::int64_t each = samples_at_once(divide_up(samples, own));
    const std::int64_t groups = divide_up(samples, each);
    const auto run_some = [&](std::int64_t first, std::int64_t last, std::int64_t cut_for) {
      run_rows(x, output, first, last - first, records, cut_for, nullptr);
    };
    if (groups < own) {
      run_some(0, samples, own);
    } else {
      do_each(groups, threads(),
              [&](std::int64_t group) { run_some(group * samples / groups, (group + 1) * samples / groups, 1); });
    }
    return output;
  }

  EngineReport measure(const NetworkInput& input) const {
    const Tensor x = input.x.contiguous();
    Tensor output = new_output(x.size(0));
    EngineReport report;
    report.compiled = true;
    report.hardware = kernels::instruction_set();
    if (unit_) {
      report.precision = Precision::bf16;
      report.hardware += std::string(", bf16 ") + kernels::bf16::name(*unit_);
    }
    for (const auto& step : program_.steps) report.steps.push_back({step->describe()});
    for (int turn = 0; turn < 2; ++turn) {  // the first warms up
      const auto started = Clock::now();
      const auto records = program_.conditions->records(input);
      run_rows(x, output, 0, x.size(0), records, threads(), &report.steps);
      report.seconds = seconds_since(started);
    }
    return report;
  }

 private:
  Tensor new_output(std::int64_t samples) const {
    std::vector<std::int64_t> sizes = program_.output_sizes;
    sizes[0] = samples;
    return torch::empty(sizes);
  }

  /// As many samples as keep their activations in the caches, and enough for the weights to be read seldom.
  std::int64_t samples_at_once(std::int64_t most) const {
    constexpr std::int64_t cached = 2'000'000;  // floats
    constexpr std::int64_t enough = 8;
    const std::int64_t fit =
        std::clamp<std::int64_t>(cached / std::max<std::int64_t>(program_.workspace, 1), 1, enough);
    return divide_up(most, divide_up(most, fit));
  }

  void run_rows(const Tensor& x, Tensor& output, std::int64_t first, std::int64_t samples,
                const std::vector<Conditions::Record>& records, std::int64_t cut_for,
                std::vector<EngineStep>* steps) const {
    auto workspace = pool_.take();
    workspace->make_room(program_, samples);
    std::vector<const float*> conditions;
    for (std::int64_t i = 0; i < samples; ++i)
      conditions.push_back(records[static_cast<std::size_t>(first + i)]->data());

    Run run;
    run.samples = samples;
    run.workspace = workspace->floats.data();
    run.buffers = program_.buffers.data();
    run.input_size = x.numel() / x.size(0);
    run.output_size = output.numel() / output.size(0);
    run.input = x.const_data_ptr<float>() + first * run.input_size;
    run.output = output.mutable_data_ptr<float>() + first * run.output_size;
    run.conditions = conditions.data();
    run.shared = workspace->shared.data();
    run.threads = threads();
    run.cut_for = cut_for;
    run.warnings = c10::WarningUtils::get_warning_handler();
    if (!steps) {
      run_steps(program_.steps, run);
    } else {
      for (std::size_t i = 0; i < program_.steps.size(); ++i) {
        const auto started = Clock::now();
        run_steps(std::span(program_.steps).subspan(i, 1), run);
        (*steps)[i].seconds = seconds_since(started);
      }
    }
    pool_.give_back(std::move(workspace));
  }

  Program program_;
  std::optional<kernels::bf16::Unit> unit_;
  WorkspacePool& pool_;
};

/// The sizes of one sample's x and conditions.
using Sizes = std::vector<std::vector<std::int64_t>>;

Sizes sizes_of(const NetworkInput& input) {
  Sizes sizes{input.x.sizes().slice(1).vec()};
  for (const Tensor& condition : input.conditions) sizes.push_back(condition.sizes().slice(1).vec());
  return sizes;
}

/// Two samples of the input's shape and conditions that differ; of one sample, which may be a large one, one.
NetworkInput trial_like(const NetworkInput& input) {
  const std::int64_t last = input.x.size(0) - 1;
  NetworkInput trial = input.with_each([last](const Tensor& part) {
    return last == 0 ? part.clone() : torch::cat({part.narrow(0, 0, 1), part.narrow(0, last, 1)});
  });
  // The caller's own numbers may be NaN, or all alike.
  if (trial.x.is_floating_point()) trial.x = torch::linspace(-1, 1, trial.x.numel()).reshape(trial.x.sizes());
  return trial;
}

class CpuNetwork : public Network {
 public:
  CpuNetwork(const torch::jit::Module& module, std::unique_ptr<Network> as_it_is,
             std::optional<kernels::bf16::Unit> unit)
      : Network(as_it_is->name(), as_it_is->signature()),
        module_(module),
        as_it_is_(std::move(as_it_is)),
        exact_(libtorch_network(name(), signature(), device(), module, Precision::fp32)),
        unit_(unit),
        has_one_shape_(std::ranges::all_of(signature().inputs, [](const Port& port) {
          return std::all_of(port.shape.begin() + 1, port.shape.end(),
                             [](const Size& size) { return size.name.empty(); }) &&
                 port.map.empty();
        })) {}

  /// Throws NotCompiled where the trial's shape can't be compiled.
  void require(const NetworkInput& trial, const std::function<Tensor()>& expected) {
    shapes_.push_front(std::make_shared<Shape>(Shape{sizes_of(trial), compiled_for(trial, expected), {}}));
  }

 protected:
  Tensor run(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    const auto shape = shape_for(input);
    return shape->compiled ? shape->compiled->run(input) : as_it_is_->forward(input);
  }

  EngineReport measure(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    const auto shape = shape_for(input);
    if (shape->compiled) return shape->compiled->measure(input);
    EngineReport report = as_it_is_->report(input);
    report.why_not = shape->why_not;
    return report;
  }

 private:
  /// What became of the network for inputs of one shape.
  struct Shape {
    Sizes sizes;
    std::unique_ptr<const CompiledShape> compiled;  // or none, and
    std::string why_not;
  };

  /// Shapes that are kept: the sizes at which one works, and those of a few callers beside.
  static constexpr std::size_t most_shapes = 8;

  std::shared_ptr<const Shape> shape_for(const NetworkInput& input) {
    const Sizes sizes = sizes_of(input);
    if (auto known = find(sizes)) return known;
    // Other shapes go on meanwhile.
    const std::lock_guard lock(compiling_);
    if (auto known = find(sizes)) return known;
    const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
    const NetworkInput trial = trial_like(input);
    auto shape = std::make_shared<Shape>(Shape{sizes, nullptr, {}});
    try {
      // Of one sample, the trace computes what libtorch does. Large ones come alone.
      std::function<Tensor()> expected;
      if (trial.x.size(0) > 1) expected = [&] { return exact_->forward(trial); };
      shape->compiled = compiled_for(trial, expected);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& reason) {
      shape->why_not = in_one_line(reason);
    }
    const std::lock_guard list(mutex_);
    if (shapes_.size() == most_shapes) shapes_.pop_back();  // who runs it still has it
    shapes_.push_front(shape);
    return shape;
  }

  /// In front of the others, if it is there.
  std::shared_ptr<const Shape> find(const Sizes& sizes) {
    const std::lock_guard lock(mutex_);
    for (auto shape = shapes_.begin(); shape != shapes_.end(); ++shape) {
      if ((*shape)->sizes != sizes) continue;
      shapes_.splice(shapes_.begin(), shapes_, shape);
      return shapes_.front();
    }
    return nullptr;
  }

  std::unique_ptr<const CompiledShape> compiled_for(const NetworkInput& trial, const std::function<Tensor()>& later) {
    if (trial.x.scalar_type() != torch::kFloat32) throw NotCompiled("x is not float32");
    const Trace traced = trace(module_, trial.row(0));
    Program program = lower(traced, unit_, packed_weights_);
    const Tensor expected = later ? later() : traced.output;
    // Of these conditions; others may do better.
    if (!expected.isfinite().all().item<bool>()) throw NotCompiled("the network returns NaN or infinity");
    require_near(traced.output, expected.narrow(0, 0, 1), false);
    constexpr std::size_t most_conditions = 256 << 20;  // bytes
    program.conditions->limit(has_one_shape_ ? most_conditions : most_conditions / most_shapes);
    auto compiled = std::make_unique<const CompiledShape>(std::move(program), unit_, pool_);
    require_near(compiled->run(trial), expected, unit_.has_value());
    return compiled;
  }

  torch::jit::Module module_;
  std::unique_ptr<Network> as_it_is_;  // in the precision that was asked for,
  std::unique_ptr<Network> exact_;     // and in fp32
  std::optional<kernels::bf16::Unit> unit_;
  bool has_one_shape_;
  WorkspacePool pool_;

  std::mutex compiling_;
  PackedWeights packed_weights_;

  std::mutex mutex_;
  std::list<std::shared_ptr<Shape>> shapes_;  // the last used first
};

}  // namespace

std::unique_ptr<Network> compile_for_cpu(const torch::jit::Module& module, std::unique_ptr<Network> as_it_is,
                                         const NetworkInput& trial, const std::function<Tensor()>& expected,
                                         Precision precision) {
  const torch::InferenceMode guard;
  auto network = std::make_unique<CpuNetwork>(
      module, std::move(as_it_is),
      precision == Precision::bf16 ? std::optional(kernels::bf16::units().back()) : std::nullopt);
  network->require(trial, expected);
  return network;
}

}  // namespace onestep::engine
