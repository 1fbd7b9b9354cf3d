#include "engine.hpp"

#include <ATen/Parallel.h>

#include <atomic>
#include <chrono>
#include <list>

#include "kernels.hpp"
#include "lowering.hpp"
#include "scratch.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Callers at work in this process: they share the threads.
std::atomic<int> callers{0};

struct Caller {
  Caller() { ++callers; }
  ~Caller() { --callers; }
};

/// Memory for one run at a time.
struct Workspace {
  std::vector<float> floats;
  std::vector<double> shared;
  std::optional<Team> team;
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

class Compiled : public Network {
 public:
  Compiled(const std::string& name, Signature signature, Program program, std::optional<kernels::bf16::Unit> unit)
      : Network(name, std::move(signature)), program_(std::move(program)), unit_(unit) {}

 protected:
  Tensor run(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    const Caller caller;
    const Tensor x = input.x.contiguous();
    Tensor output = torch::empty_like(x);
    const std::int64_t samples = x.size(0);
    const std::vector<Conditions::Record> records = program_.conditions->records(input);

    const std::int64_t threads = at::in_parallel_region() ? 1 : std::max(1, at::get_num_threads() / callers.load());
    // Samples apart where there are enough of them: threads then never wait for each other.
    const std::int64_t size = x.numel() / samples;
    const std::int64_t each = samples_at_once(divide_up(samples, threads));
    const std::int64_t groups = divide_up(samples, each);
    if (groups < threads) {
      run_rows(x, output, 0, samples, size, records, threads, nullptr);
      return output;
    }
    Team(std::min(threads, groups), 0).share(groups, [&](std::int64_t group, std::byte*) {
      const std::int64_t first = group * samples / groups, last = (group + 1) * samples / groups;
      run_rows(x, output, first, last - first, size, records, 1, nullptr);
    });
    return output;
  }

  EngineReport measure(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    const Tensor x = input.x.contiguous();
    Tensor output = torch::empty_like(x);
    EngineReport report;
    report.compiled = true;
    report.instruction_set = kernels::instruction_set();
    if (unit_) {
      report.precision = Precision::bf16;
      report.instruction_set += std::string(", bf16 ") + kernels::bf16::name(*unit_);
    }
    report.steps.resize(program_.steps.size());
    for (std::size_t i = 0; i < report.steps.size(); ++i) report.steps[i].what = program_.steps[i]->describe();
    for (int turn = 0; turn < 2; ++turn) {  // the first warms up
      const auto started = Clock::now();
      const auto records = program_.conditions->records(input);
      run_rows(x, output, 0, x.size(0), x.numel() / x.size(0), records, at::get_num_threads(), &report.steps);
      report.seconds = seconds_since(started);
    }
    return report;
  }

 private:
  /// As many samples as keep their activations in the caches, and enough for the weights to be read seldom.
  std::int64_t samples_at_once(std::int64_t most) const {
    constexpr std::int64_t cached = 2'000'000;  // floats
    constexpr std::int64_t enough = 8;
    const std::int64_t fit =
        std::clamp<std::int64_t>(cached / std::max<std::int64_t>(program_.workspace, 1), 1, enough);
    return divide_up(most, divide_up(most, fit));
  }

  void run_rows(const Tensor& x, Tensor& output, std::int64_t first, std::int64_t samples, std::int64_t size,
                const std::vector<Conditions::Record>& records, std::int64_t workers, std::vector<EngineStep>* steps) {
    auto workspace = pool_.take();
    const auto floats = static_cast<std::size_t>(program_.workspace * samples + kernels::overread);
    if (workspace->floats.size() < floats) workspace->floats = std::vector<float>(floats);
    const auto doubles = static_cast<std::size_t>(program_.shared_doubles * samples);
    if (workspace->shared.size() < doubles) workspace->shared = std::vector<double>(doubles);
    if (!workspace->team || workspace->team->workers() != workers)
      workspace->team.emplace(workers, program_.scratch_bytes);
    std::vector<const float*> conditions;
    for (std::int64_t i = 0; i < samples; ++i)
      conditions.push_back(records[static_cast<std::size_t>(first + i)]->data());

    Run run;
    run.samples = samples;
    run.workspace = workspace->floats.data();
    run.buffers = program_.buffers.data();
    run.input = x.const_data_ptr<float>() + first * size;
    run.output = output.mutable_data_ptr<float>() + first * size;
    run.sample_size = size;
    run.conditions = conditions.data();
    run.shared = workspace->shared.data();
    run.team = &*workspace->team;
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const auto started = Clock::now();
      program_.steps[i]->run(run);
      if (steps) (*steps)[i].seconds = seconds_since(started);
    }
    pool_.give_back(std::move(workspace));
  }

  Program program_;
  std::optional<kernels::bf16::Unit> unit_;
  WorkspacePool pool_;
};

}  // namespace

std::unique_ptr<Network> compile(const std::string& name, const Signature& signature, const Trace& trace,
                                 const NetworkInput& trial, const Tensor& expected,
                                 std::optional<kernels::bf16::Unit> unit) {
  const torch::InferenceMode guard;
  auto network = std::make_unique<Compiled>(name, fixed_at(signature, trial.x.sizes().vec()), lower(trace, unit), unit);
  require_near(network->forward(trial), expected, unit.has_value());
  return network;
}

void require_near(const Tensor& output, const Tensor& expected, bool reduced) {
  const double size = expected.abs().max().item<double>();
  const double difference = (output - expected).abs().max().item<double>();
  // float32 sums in another order, or numbers of 8 bits through some 50 layers; mistakes are larger.
  const double allowed = reduced ? 0.1 : 1e-3;
  if (!(difference <= allowed * std::max(1.0, size))) {
    throw NotCompiled("compiled, it differs by " + std::to_string(difference) + " from what it is");
  }
}

}  // namespace onestep::engine
