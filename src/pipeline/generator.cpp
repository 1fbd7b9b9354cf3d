#include "onestep/generator.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>

#include "levels.hpp"
#include "model_file.hpp"
#include "noise.hpp"
#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "onestep/tensor/noise.hpp"
#include "parts.hpp"
#include "schedule.hpp"
#include "shipped_models.hpp"

namespace onestep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

/// A sampler with its levels settled: what one batch needs.
struct Plan {
  std::string name;
  std::vector<double> levels;
  std::int64_t nfe = 0;
  std::int64_t draws = 1;  // Gaussians a sample
  std::function<Tensor(const DenoiserFunction&, const NoiseSource&)> sample;
};

void require_steps(int steps) {
  if (steps < 1) refuse("steps = " + std::to_string(steps) + " must be 1 or more");
  if (steps > 10000) refuse("steps = " + std::to_string(steps) + " must be 10000 or fewer");
}

/// The given levels, checked against the model's range, or those that `otherwise` makes.
template <typename Otherwise>
std::vector<double> settle(const std::vector<double>& given, double lowest, const ModelInfo& info,
                           Otherwise otherwise) {
  if (given.empty()) return otherwise();
  require_falling(given, lowest);
  // 1e-6, relative: a level that was printed in six digits is still the model's own.
  if (given.front() > info.sigma_max * (1 + 1e-6)) {
    std::ostringstream message;
    message << "levels[0] = " << given.front() << " must be at most the model's sigma_max = " << info.sigma_max;
    refuse(message.str());
  }
  return given;
}

std::vector<double> settle_karras(int steps, const std::vector<double>& given, const ModelInfo& info) {
  require_steps(steps);
  return settle(given, 0, info, [&] { return karras_levels(steps, info.sigma_min, info.sigma_max, info.rho); });
}

Plan plan(const ConsistencySampler& options, const ModelInfo& info) {
  require_steps(options.steps);
  Plan plan;
  plan.name = "consistency";
  plan.levels = settle(options.levels, info.boundary_sigma, info, [&] {
    const auto recommended = info.levels.find(options.steps);
    if (recommended != info.levels.end()) return recommended->second;
    // Without a recommendation: Karras levels, the last of which, sigma_min, has nothing left to denoise.
    std::vector<double> levels = karras_levels(options.steps + 1, info.sigma_min, info.sigma_max, info.rho);
    levels.pop_back();
    return levels;
  });
  plan.nfe = plan.draws = static_cast<std::int64_t>(plan.levels.size());
  const double epsilon = info.renoise_by_level ? 0 : info.boundary_sigma;
  plan.sample = [levels = plan.levels, epsilon](const auto& f, const auto& z) {
    return sample_consistency(f, z, levels, epsilon);
  };
  return plan;
}

Plan plan(const EulerSampler& options, const ModelInfo& info) {
  Plan plan;
  plan.name = "euler";
  plan.levels = settle_karras(options.steps, options.levels, info);
  plan.nfe = static_cast<std::int64_t>(plan.levels.size());
  plan.sample = [levels = plan.levels](const auto& denoise, const auto& z) { return sample_euler(denoise, z, levels); };
  return plan;
}

void require_not_negative(const char* name, double value) {
  if (value >= 0) return;  // also false for NaN
  refuse(std::string(name) + " = " + std::to_string(value) + " must be 0 or more");
}

Plan plan(const HeunSampler& options, const ModelInfo& info) {
  require_not_negative("churn", options.churn);
  require_not_negative("churn_sigma_min", options.churn_sigma_min);
  require_not_negative("churn_sigma_max", options.churn_sigma_max);
  require_not_negative("churn_noise", options.churn_noise);
  Plan plan;
  plan.name = "heun";
  plan.levels = settle_karras(options.steps, options.levels, info);
  const auto steps = static_cast<std::int64_t>(plan.levels.size());
  plan.nfe = 2 * steps - 1;
  plan.draws = options.churn > 0 ? steps + 1 : 1;
  const Churn churn{options.churn, options.churn_sigma_min, options.churn_sigma_max, options.churn_noise};
  plan.sample = [levels = plan.levels, churn](const auto& denoise, const auto& z) {
    return sample_heun(denoise, z, levels, churn);
  };
  return plan;
}

Plan plan(std::monostate, const ModelInfo& info) {
  if (info.role == Role::consistency) return plan(ConsistencySampler{}, info);
  if (info.role == Role::diffusion) return plan(HeunSampler{}, info);
  refuse(info.name + " is a flow map, which no sampler of this version runs; use a consistency or diffusion model");
}

/// A sampler that does not suit the model draws something, and it is never what was wanted.
void require_suitable(const std::string& sampler, const ModelInfo& info) {
  if (info.role == Role::diffusion && sampler == "consistency") {
    refuse("sampler consistency does not suit " + info.name +
           ": a diffusion model's denoised sample is a mean of many, not a sample; use heun or euler");
  }
  if (info.role == Role::consistency && sampler != "consistency") {
    refuse("sampler " + sampler + " does not suit " + info.name +
           ": a consistency model jumps to the trajectory's end rather than giving its slope; use consistency");
  }
  if (info.role == Role::flow_map) {
    refuse("sampler " + sampler + " does not suit " + info.name + ": it is a flow map, which this version can't run");
  }
}

/// Leaves a sampler between two network calls.
struct Stopped {};

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

Generator Generator::load(const std::string& model, const LoadOptions& options) {
  const torch::Device device = find_device(options.device);
  const std::string file = find_model(model);
  ModelInfo info = read_model_info(file);
  auto network = load_torchscript(file, info, device);
  const std::int64_t size = c10::multiply_integers(info.shape);
  return Generator(std::unique_ptr<Parts>(new Parts{file, std::move(info), device, std::move(network), size}));
}

namespace {

/// Everything that can be refused is refused here, before the first network call.
Plan plan_of(const Request& request, const ModelInfo& info, std::int64_t sample_size) {
  Plan plan = std::visit([&](const auto& sampler) { return onestep::plan(sampler, info); }, request.sampler);
  if (!request.force) require_suitable(plan.name, info);
  if (request.seeds.empty()) refuse("seeds is empty: give one seed a sample");
  if (request.batch < 1) refuse("batch = " + std::to_string(request.batch) + " must be 1 or more");
  if (!request.labels.empty() && info.label_count == 0) refuse(info.name + " has no labels to ask for");
  for (const std::int64_t label : request.labels) {
    if (label < 0 || label >= info.label_count) {
      refuse("label " + std::to_string(label) + " must lie in [0, " + std::to_string(info.label_count - 1) + "]");
    }
  }
  const std::size_t wanted = request.seeds.size() * static_cast<std::size_t>(plan.draws * sample_size);
  if (!request.noise.empty() && request.noise.size() != wanted) {
    refuse("noise has " + std::to_string(request.noise.size()) + " values; " + plan.name + " needs " +
           std::to_string(plan.draws) + " draws x " + std::to_string(request.seeds.size()) + " samples x " +
           std::to_string(sample_size) + " values a sample");
  }
  return plan;
}

Report report_of(const Plan& plan) {
  Report report;
  report.sampler = plan.name;
  report.levels = plan.levels;
  report.nfe = plan.nfe;
  return report;
}

}  // namespace

Report Generator::plan(const Request& request) const {
  return report_of(plan_of(request, parts_->info, parts_->sample_size));
}

Report Generator::generate(const Request& request, const Sink& sink, const OnProgress& on_progress,
                           std::stop_token stop) const {
  const auto& [file, info, device, network, sample_size] = *parts_;
  const Plan plan = plan_of(request, info, sample_size);
  const auto count = static_cast<std::int64_t>(request.seeds.size());
  Report report = report_of(plan);
  Progress progress;
  progress.calls = plan.nfe * ((count + request.batch - 1) / request.batch);
  progress.samples = count;
  std::vector<std::uint64_t> broken;

  for (std::int64_t first = 0; first < count && !report.stopped; first += request.batch) {
    const std::int64_t n = std::min(request.batch, count - first);
    const auto started = Clock::now();
    const std::vector<std::uint64_t> seeds(request.seeds.begin() + first, request.seeds.begin() + first + n);

    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < n && info.label_count > 0; ++i) {
      labels.push_back(request.labels.empty() ? random_label(seeds[i], info.label_count)
                                              : request.labels[(first + i) % request.labels.size()]);
    }

    Tensor x;
    try {
      x = translated(file, [&] {
        const torch::InferenceMode guard;
        const Tensor label = labels.empty() ? Tensor() : torch::tensor(labels).to(device);
        const Denoiser denoiser(*network, info, label);
        const DenoiserFunction denoise = [&](const Tensor& x, double sigma) {
          if (stop.stop_requested()) throw Stopped{};
          Tensor denoised = denoiser(x, sigma);
          ++progress.calls_done;
          if (on_progress) on_progress(progress);
          return denoised;
        };
        const NoiseSource seeded = seeded_noise(seeds, info.shape);
        const NoiseSource z = [&](std::uint32_t draw) {
          if (request.noise.empty()) return seeded(draw).to(device);
          std::vector<std::int64_t> sizes = info.shape;
          sizes.insert(sizes.begin(), n);
          const float* values = request.noise.data() + (draw * count + first) * sample_size;
          return torch::from_blob(const_cast<float*>(values), sizes).to(device);
        };
        return plan.sample(denoise, z).to(torch::kCPU, torch::kFloat32).contiguous();
      });
    } catch (const Stopped&) {
      report.stopped = true;
      break;
    }
    report.seconds += seconds_since(started);

    for (std::int64_t i = 0; i < n; ++i) {
      const float* values = x.const_data_ptr<float>() + i * sample_size;
      Sample sample{seeds[i], labels.empty() ? std::nullopt : std::optional(labels[i]), {values, values + sample_size}};
      if (std::all_of(sample.values.begin(), sample.values.end(), [](float v) { return std::isfinite(v); })) {
        ++report.count;
        sink(std::move(sample));
      } else {
        broken.push_back(seeds[i]);
      }
    }
    progress.samples_done += n;
    if (on_progress) on_progress(progress);
  }
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
    refuse(std::to_string(request.seeds.size()) + " samples do not fit in memory; take them one at a time with a sink");
  }
  return result;
}

std::pair<std::string, ModelInfo> describe_model(const std::string& model) {
  const std::string file = find_model(model);
  return {file, read_model_info(file)};
}

void set_threads(int threads) {
  if (threads < 1) refuse("threads = " + std::to_string(threads) + " must be 1 or more");
  at::set_num_threads(threads);
}

}  // namespace onestep
