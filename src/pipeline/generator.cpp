#include "onestep/generator.hpp"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "conditions.hpp"
#include "leaving.hpp"
#include "model_file.hpp"
#include "onestep/tensor/device.hpp"
#include "onestep/tensor/noise.hpp"
#include "parts.hpp"
#include "plan.hpp"
#include "preconditioning.hpp"
#include "seconds_since.hpp"
#include "shipped_models.hpp"
#include "threads.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

using Clock = std::chrono::steady_clock;

/// Samples that may still be on their way from a GPU.
class Batch {
 public:
  Batch(Rows rows, const Tensor& x) : rows(std::move(rows)) {
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

  Rows rows;

 private:
  Tensor here_;
  std::optional<c10::Event> arrived_;
};

/// A request's way from seeds to samples: conditions, noise, sampling, decoding, handing over.
class Drawing {
 public:
  Drawing(const Model& model, const Request& request, const Sink& sink, const OnProgress& on_progress,
          std::stop_token stop)
      : model_(model),
        request_(request),
        plan_(make_plan(request, model.info)),
        batch_(std::min<std::size_t>(static_cast<std::size_t>(request.batch), request.seeds.size())),
        sink_(sink),
        on_progress_(on_progress),
        stop_(std::move(stop)),
        report_(report_of(plan_, model.info)) {
    const std::size_t count = request.seeds.size();
    progress_.samples = static_cast<std::int64_t>(count);
    progress_.calls = plan_.calls * static_cast<std::int64_t>((count - 1) / batch_ + 1);
  }

  static Report report_of(const Plan& plan, const ModelInfo& info) {
    Report report;
    report.sampler = plan.name;
    report.levels = plan.levels;
    report.nfe = nfe(plan, info);
    report.shape = plan.data_shape;
    return report;
  }

  template <typename Work>
  auto timed(Work work) {
    const auto started = Clock::now();
    auto result = work();
    report_.seconds += seconds_since(started);
    return result;
  }

  Report run() {
    // A GPU computes the next batch while this one is handed over.
    std::optional<Batch> on_its_way;
    const auto hand_over_last = [&] {
      if (auto batch = std::exchange(on_its_way, std::nullopt)) hand_over(*batch);
    };
    try {
      for (std::size_t first = 0; first < request_.seeds.size(); first += batch_) {
        std::optional<Batch> batch;
        try {
          const Rows rows = rows_of(request_, model_.info, first, std::min(batch_, request_.seeds.size() - first));
          batch = timed([&] { return translated(model_.file, [&] { return draw(rows); }); });
        } catch (const Stopped&) {
          report_.stopped = true;
          break;
        } catch (...) {
          hand_over_last();  // what is finished is not lost
          throw;
        }
        hand_over_last();
        on_its_way = std::move(batch);
        if (model_.device.is_cpu()) hand_over_last();
      }
      hand_over_last();
    } catch (const ThrownByCaller& thrown) {
      std::rethrow_exception(thrown.exception);
    }
    require_whole();
    return std::move(report_);
  }

 private:
  Batch draw(const Rows& rows) {
    const torch::InferenceMode guard;
    const LibtorchThreads alone(1);  // between network calls there is little to do
    const Condition condition = condition_of(model_, request_, rows, plan_.guidance);
    const NoiseSource z = noise_of(rows);
    const Denoiser denoiser(*model_.network, model_.info, condition);
    const Tensor start = initial_scale(model_.info, plan_.levels.front()) * z(0);
    const Tensor x = plan_.sample(watched(denoiser), start, z);
    return {rows, decoded(x)};
  }

  NoiseSource noise_of(const Rows& rows) const {
    if (request_.noise.empty()) {
      return [seeded = seeded_noise(rows.seeds, plan_.sample_shape), device = model_.device](std::uint32_t draw) {
        return on_device(seeded(draw), device);
      };
    }
    std::vector<std::int64_t> sizes = plan_.sample_shape;
    const std::int64_t size = c10::multiply_integers(sizes);
    sizes.insert(sizes.begin(), static_cast<std::int64_t>(rows.seeds.size()));
    return [this, sizes, size, first = rows.first](std::uint32_t draw) {
      const std::size_t place = draw * request_.seeds.size() + first;
      const float* values = request_.noise.data() + place * static_cast<std::size_t>(size);
      return on_device(torch::from_blob(const_cast<float*>(values), sizes), model_.device);
    };
  }

  /// The denoiser, counted, and left where a stop was asked for.
  FlowMapFunction watched(const Denoiser& denoiser) {
    return [this, &denoiser](const Tensor& x, double sigma, double target) {
      if (stop_.stop_requested()) throw Stopped{};
      Tensor denoised = denoiser(x, sigma, target);
      ++progress_.calls_done;
      progress_.preview = [&] {
        const Tensor samples = decoded(denoised).to(torch::kCPU, torch::kFloat32).contiguous();
        return std::vector<float>(samples.const_data_ptr<float>(), samples.const_data_ptr<float>() + samples.numel());
      };
      tell(on_progress_, progress_);
      progress_.preview = {};
      return denoised;
    };
  }

  Tensor decoded(const Tensor& x) { return model_.decoder ? model_.decoder->forward({x, {}}) : x; }

  void hand_over(Batch& batch) {
    const Tensor x = timed([&] { return translated(model_.file, [&] { return batch.wait(); }); });
    const std::int64_t size = c10::multiply_integers(plan_.data_shape);
    for (std::size_t i = 0; i < batch.rows.seeds.size(); ++i) {
      const float* values = x.const_data_ptr<float>() + static_cast<std::int64_t>(i) * size;
      if (!std::all_of(values, values + size, [](float v) { return std::isfinite(v); })) {
        broken_.push_back(batch.rows.seeds[i]);
        continue;
      }
      Sample sample{batch.rows.seeds[i], std::nullopt, {}, plan_.data_shape};
      if (!batch.rows.labels.empty()) sample.label = batch.rows.labels[i];
      translated(model_.file, [&] { sample.values.assign(values, values + size); });
      ++report_.count;
      sink_(std::move(sample));
    }
    progress_.samples_done += static_cast<std::int64_t>(batch.rows.seeds.size());
    tell(on_progress_, progress_);
  }

  void require_whole() const {
    if (broken_.empty()) return;
    std::string seeds;
    for (std::size_t i = 0; i < broken_.size() && i < 10; ++i) seeds += (i ? ", " : "") + std::to_string(broken_[i]);
    if (broken_.size() > 10) seeds += " and " + std::to_string(broken_.size() - 10) + " more";
    throw NumericalError(model_.file + ": NaN or infinity in " + std::to_string(broken_.size()) + " of " +
                             std::to_string(request_.seeds.size()) + " samples, seeds " + seeds +
                             "; the others are whole. onestep inspect --check tests the model",
                         broken_);
  }

  const Model& model_;
  const Request& request_;
  Plan plan_;
  std::size_t batch_;
  const Sink& sink_;
  const OnProgress& on_progress_;
  std::stop_token stop_;
  Report report_;
  Progress progress_;
  std::vector<std::uint64_t> broken_;
};

}  // namespace

NumericalError::NumericalError(const std::string& message, std::vector<std::uint64_t> seeds)
    : Error(ErrorKind::numerical, message), seeds_(std::move(seeds)) {}

Generator::Generator(std::shared_ptr<Parts> parts) : parts_(std::move(parts)) {}
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator&&) noexcept = default;
Generator::~Generator() = default;

Generator Generator::load(const std::string& model, const LoadOptions& options) {
  return Generator(std::shared_ptr<Parts>(new Parts{load_model(model, options)}));
}

const ModelInfo& Generator::info() const noexcept { return parts_->info; }

const std::string& Generator::file() const noexcept { return parts_->file; }

const PrecisionInUse& Generator::precision() const noexcept { return parts_->precision; }

Report Generator::plan(const Request& request) const {
  return Drawing::report_of(make_plan(request, parts_->info), parts_->info);
}

Report Generator::generate_each(const Request& request, const Sink& sink, const OnProgress& on_progress,
                                std::stop_token stop) const {
  if (!sink) throw Error(ErrorKind::usage, "sink is empty; give a function that takes the samples");
  return Drawing(*parts_, request, sink, on_progress, std::move(stop)).run();
}

Result Generator::generate(const Request& request, const OnProgress& on_progress, std::stop_token stop) const {
  Result result;
  const Sink keep = [&](Sample&& sample) {
    try {
      result.samples.push_back(std::move(sample));
    } catch (const std::bad_alloc&) {
      throw Error(ErrorKind::memory, std::to_string(request.seeds.size()) +
                                         " samples do not fit in memory; take them one at a time with a sink");
    }
  };
  result.report = generate_each(request, keep, on_progress, std::move(stop));
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
  use_threads(threads);
}

}  // namespace onestep
