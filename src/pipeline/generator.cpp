#include "onestep/generator.hpp"

#include <ATen/Parallel.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "model_file.hpp"
#include "noise.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "onestep/tensor/model.hpp"
#include "onestep/tensor/noise.hpp"
#include "parts.hpp"
#include "plan.hpp"
#include "precision.hpp"
#include "preconditioning.hpp"
#include "shipped_models.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Leaves a sampler between two network calls.
struct Stopped {};

/// Samples that may still be on their way from a GPU.
class Batch {
 public:
  Batch(std::vector<std::uint64_t> seeds, std::vector<std::int64_t> labels, const Tensor& x)
      : seeds(std::move(seeds)), labels(std::move(labels)) {
    const Tensor values = x.to(torch::kFloat32).contiguous();
    if (values.is_cpu()) {
      here_ = values;
      return;
    }
    here_ = torch::empty(values.sizes(), torch::TensorOptions().pinned_memory(true));
    here_.copy_(values, /*non_blocking=*/true);
    arrived_.emplace(values.device().type());
    arrived_->record(c10::impl::VirtualGuardImpl(values.device().type()).getStream(values.device()));
  }

  /// float32 [seeds, ...] on the CPU.
  const Tensor& wait() {
    if (arrived_) arrived_->synchronize();
    return here_;
  }

  std::vector<std::uint64_t> seeds;
  std::vector<std::int64_t> labels;

 private:
  Tensor here_;
  std::optional<c10::Event> arrived_;
};

std::string list(const std::vector<std::uint64_t>& seeds) {
  std::string text;
  for (std::size_t i = 0; i < seeds.size() && i < 10; ++i) text += (i ? ", " : "") + std::to_string(seeds[i]);
  return seeds.size() > 10 ? text + " and " + std::to_string(seeds.size() - 10) + " more" : text;
}

}  // namespace

NumericalError::NumericalError(const std::string& message, std::vector<std::uint64_t> seeds)
    : Error(ErrorKind::numerical, message), seeds_(std::move(seeds)) {}

Generator::Generator(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator&&) noexcept = default;
Generator::~Generator() = default;

const ModelInfo& Generator::info() const noexcept { return parts_->info; }

const std::string& Generator::file() const noexcept { return parts_->file; }

const PrecisionInUse& Generator::precision() const noexcept { return parts_->precision; }

Model load_model(const std::string& model, const LoadOptions& options) {
  const torch::Device device = find_device(options.device);
  const std::string file = find_model(model);
  ModelInfo info = read_model_info(file);
  const ComparePrecisions compare = [&](Network& exact, Network& reduced) {
    return compare_precisions(info, device, exact, reduced);
  };
  auto [network, precision] = load_torchscript(file, info, {device, options.compile, options.precision, compare});
  return {file, std::move(info), device, std::move(network), std::move(precision)};
}

Generator Generator::load(const std::string& model, const LoadOptions& options) {
  return Generator(std::unique_ptr<Parts>(new Parts{load_model(model, options)}));
}

namespace {

Report report_of(const Plan& plan, const ModelInfo& info) {
  Report report;
  report.sampler = plan.name;
  report.levels = plan.levels;
  report.nfe = nfe(plan, info);
  return report;
}

}  // namespace

Report Generator::plan(const Request& request) const {
  return report_of(make_plan(request, parts_->info), parts_->info);
}

Report Generator::generate(const Request& request, const Sink& sink, const OnProgress& on_progress,
                           std::stop_token stop) const {
  const auto& [file, info, device, network, precision] = *parts_;
  const std::int64_t sample_size = c10::multiply_integers(info.sample.shape);  // values
  const Plan plan = make_plan(request, info);
  const auto count = static_cast<std::int64_t>(request.seeds.size());
  Report report = report_of(plan, info);
  Progress progress;
  progress.calls = plan.calls * ((count + request.batch - 1) / request.batch);
  progress.samples = count;
  std::vector<std::uint64_t> broken;

  const auto draw = [&](std::int64_t first, std::int64_t n) {
    const std::vector<std::uint64_t> seeds(request.seeds.begin() + first, request.seeds.begin() + first + n);
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < n && info.label_count > 0; ++i) {
      labels.push_back(request.labels.empty() ? random_label(seeds[i], info.label_count)
                                              : request.labels[(first + i) % request.labels.size()]);
    }
    const Denoiser denoiser(*network, info,
                            {.label = labels.empty() ? Tensor() : torch::tensor(labels), .guidance = plan.guidance});
    const FlowMapFunction denoise = [&](const Tensor& x, double sigma, double target) {
      if (stop.stop_requested()) throw Stopped{};
      Tensor denoised = denoiser(x, sigma, target);
      ++progress.calls_done;
      if (on_progress) on_progress(progress);
      return denoised;
    };
    const NoiseSource seeded = seeded_noise(seeds, info.sample.shape);
    const NoiseSource z = [&](std::uint32_t draw) {
      if (request.noise.empty()) return on_device(seeded(draw), device);
      std::vector<std::int64_t> sizes = info.sample.shape;
      sizes.insert(sizes.begin(), n);
      const float* values = request.noise.data() + (draw * count + first) * sample_size;
      return on_device(torch::from_blob(const_cast<float*>(values), sizes), device);
    };
    return Batch(seeds, labels, plan.sample(denoise, initial_scale(info, plan.levels.front()) * z(0), z));
  };
  const auto hand_over = [&](Batch& batch) {
    const auto started = Clock::now();
    const Tensor x = translated(file, [&] { return batch.wait(); });
    report.seconds += seconds_since(started);
    for (std::size_t i = 0; i < batch.seeds.size(); ++i) {
      const float* values = x.const_data_ptr<float>() + static_cast<std::int64_t>(i) * sample_size;
      Sample sample{batch.seeds[i],
                    batch.labels.empty() ? std::nullopt : std::optional(batch.labels[i]),
                    {values, values + sample_size}};
      if (std::all_of(sample.values.begin(), sample.values.end(), [](float v) { return std::isfinite(v); })) {
        ++report.count;
        sink(std::move(sample));
      } else {
        broken.push_back(batch.seeds[i]);
      }
    }
    progress.samples_done += static_cast<std::int64_t>(batch.seeds.size());
    if (on_progress) on_progress(progress);
  };

  // A GPU computes the next batch while this one is handed over.
  std::optional<Batch> on_its_way;
  const auto hand_over_last = [&] {
    if (auto batch = std::exchange(on_its_way, std::nullopt)) hand_over(*batch);
  };
  for (std::int64_t first = 0; first < count && !report.stopped; first += request.batch) {
    const auto started = Clock::now();
    std::optional<Batch> batch;
    try {
      batch = translated(file, [&] {
        const torch::InferenceMode guard;
        return draw(first, std::min(request.batch, count - first));
      });
    } catch (const Stopped&) {
      report.stopped = true;
    } catch (...) {
      hand_over_last();  // what is finished is not lost
      throw;
    }
    if (batch) report.seconds += seconds_since(started);
    hand_over_last();
    on_its_way = std::move(batch);
    if (device.is_cpu()) hand_over_last();
  }
  hand_over_last();
  if (!broken.empty()) {
    throw NumericalError(file + ": NaN or infinity in " + std::to_string(broken.size()) + " of " +
                             std::to_string(count) + " samples, seeds " + list(broken) +
                             "; the others are whole. onestep inspect --check tests the model",
                         broken);
  }
  return report;
}

Result Generator::generate(const Request& request, const OnProgress& on_progress, std::stop_token stop) const {
  Result result;
  try {
    result.samples.reserve(request.seeds.size());
    result.report = generate(
        request, [&](Sample&& sample) { result.samples.push_back(std::move(sample)); }, on_progress, stop);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::usage, std::to_string(request.seeds.size()) +
                                      " samples do not fit in memory; take them one at a time with a sink");
  }
  return result;
}

std::pair<std::string, ModelInfo> describe_model(const std::string& model) {
  const std::string file = find_model(model);
  return {file, read_model_info(file)};
}

void set_threads(int threads) {
  // More than a machine has cores are of no use, and a system that refuses them ends the process.
  constexpr int most_threads = 1024;
  if (threads < 1 || threads > most_threads) {
    throw Error(ErrorKind::usage, "threads = " + std::to_string(threads) + " must lie in [1, " +
                                      std::to_string(most_threads) + "]; as many as the machine has cores are best");
  }
  at::set_num_threads(threads);
}

}  // namespace onestep
