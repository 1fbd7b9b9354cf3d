#include <string>

#include "onestep/error.hpp"
#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/device.hpp"
#include "onestep/tensor/editing.hpp"
#include "plan.hpp"

namespace onestep {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

void require_size(const char* name, std::size_t found, const std::vector<std::int64_t>& shape) {
  std::size_t size = 1;
  std::string text;
  for (const std::int64_t side : shape) {
    size *= static_cast<std::size_t>(side);
    text += (text.empty() ? "" : ", ") + std::to_string(side);
  }
  if (found == size) return;
  refuse(std::string(name) + " has " + std::to_string(found) + " values; it must have " + std::to_string(size) + ": [" +
         text + "]");
}

/// One sample's values as rows for all: [n, ...shape].
Tensor rows(const std::vector<float>& values, std::vector<std::int64_t> shape, const Tensor& like) {
  shape.insert(shape.begin(), 1);
  const Tensor one = on_device(torch::from_blob(const_cast<float*>(values.data()), shape), like.device());
  shape.front() = like.size(0);
  return one.expand(shape);
}

using Editing = std::function<Tensor(const DenoiserFunction&, const NoiseSource&, const Plan&, double epsilon)>;
using Observe = std::function<Observation(const Tensor& z)>;

Editing editing(Observe observe) {
  return
      [observe = std::move(observe)](const DenoiserFunction& f, const NoiseSource& z, const Plan& plan,
                                     double epsilon) { return sample_edit(f, z, plan.levels, epsilon, observe(z(0))); };
}

Editing sample_of(std::monostate, const ModelInfo&) { return {}; }

Editing sample_of(const Inpaint& task, const ModelInfo& info) {
  require_size("sample", task.sample.size(), info.sample.shape);
  require_size("mask", task.mask.size(), info.sample.shape);
  for (const float value : task.mask) {
    if (value != 0 && value != 1) refuse("mask holds " + std::to_string(value) + "; it must hold 0 and 1 alone");
  }
  return editing([task, shape = info.sample.shape](const Tensor& z) {
    return observe_values(rows(task.sample, shape, z), rows(task.mask, shape, z));
  });
}

Editing sample_of(const Colorize& task, const ModelInfo& info) {
  if (info.sample.shape.front() != 3) {
    refuse("colorize needs a model of 3 channels; " + info.name + " has " + std::to_string(info.sample.shape.front()));
  }
  std::vector<std::int64_t> shape = info.sample.shape;
  shape.front() = 1;
  require_size("luma", task.luma.size(), shape);
  return editing([task, shape](const Tensor& z) { return observe_luma(rows(task.luma, shape, z)); });
}

Editing sample_of(const Upscale& task, const ModelInfo& info) {
  if (info.data.modality != Modality::image)
    refuse("upscale needs a model of images; " + info.name + " makes " + name_of(info.data.modality));
  if (task.factor < 2 || info.sample.shape[1] % task.factor != 0 || info.sample.shape[2] % task.factor != 0) {
    refuse("factor = " + std::to_string(task.factor) + " must be 2 or more and divide " +
           std::to_string(info.sample.shape[1]) + " and " + std::to_string(info.sample.shape[2]));
  }
  const std::vector<std::int64_t> shape{info.sample.shape[0], info.sample.shape[1] / task.factor,
                                        info.sample.shape[2] / task.factor};
  require_size("means", task.means.size(), shape);
  return editing(
      [task, shape](const Tensor& z) { return observe_block_means(rows(task.means, shape, z), task.factor); });
}

Editing sample_of(const Stroke& task, const ModelInfo& info) {
  require_size("guide", task.guide.size(), info.sample.shape);
  return [task, shape = info.sample.shape](const DenoiserFunction& f, const NoiseSource& z, const Plan& plan,
                                           double epsilon) {
    const Tensor z0 = z(0);
    const Tensor start = rows(task.guide, shape, z0) + plan.levels.front() * z0;
    return sample_consistency_from(f, start, z, plan.levels, epsilon);
  };
}

Editing sample_of(const Denoise& task, const ModelInfo& info) {
  require_size("sample", task.sample.size(), info.sample.shape);
  return [task, shape = info.sample.shape](const DenoiserFunction& f, const NoiseSource& z, const Plan& plan,
                                           double epsilon) {
    return sample_consistency_from(f, rows(task.sample, shape, z(0)), z, plan.levels, epsilon);
  };
}

}  // namespace

void plan_edit(Plan& plan, const Edit& edit, const ModelInfo& info) {
  const Editing sample = std::visit([&](const auto& task) { return sample_of(task, info); }, edit);
  if (!sample) return;
  if (plan.name != "consistency") {
    refuse("editing is done by the sampler consistency, on a consistency model; sampler " + plan.name + " can't");
  }
  const double epsilon = info.renoise_by_level ? 0 : info.boundary_sigma;
  plan.sample = [sample, epsilon, settled = plan](const FlowMapFunction& f, const NoiseSource& z) {
    return sample([&f](const Tensor& x, double sigma) { return f(x, sigma, 0); }, z, settled, epsilon);
  };
}

}  // namespace onestep
