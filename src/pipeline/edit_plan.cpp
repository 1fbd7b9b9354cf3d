#include <string>

#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/device.hpp"
#include "onestep/tensor/editing.hpp"
#include "plan.hpp"
#include "require.hpp"
#include "shape_text.hpp"

namespace onestep {
namespace {

void require_size(const std::string& name, std::size_t found, const std::vector<std::int64_t>& shape) {
  std::size_t size = 1;
  for (const std::int64_t side : shape) size *= static_cast<std::size_t>(side);
  if (found == size) return;
  refuse(name + " has " + std::to_string(found) + " values; it must have " + std::to_string(size) + ": " +
         shape_text(shape));
}

/// A value for each of `shape`, all finite.
void require_values(const std::string& name, const std::vector<float>& values, const std::vector<std::int64_t>& shape) {
  require_size(name, values.size(), shape);
  require_finite(name, values);
}

/// One sample's values as rows for all: [n, ...shape].
Tensor rows(const std::vector<float>& values, std::vector<std::int64_t> shape, const Tensor& like) {
  shape.insert(shape.begin(), 1);
  const Tensor one = on_device(torch::from_blob(const_cast<float*>(values.data()), shape), like.device());
  shape.front() = like.size(0);
  return one.expand(shape);
}

using Editing = std::function<Tensor(const DenoiserFunction& f, const Tensor& x, const NoiseSource& z,
                                     const std::vector<double>& levels, double epsilon)>;

Editing editing(std::function<Observation(const Tensor& x)> observe) {
  return [observe = std::move(observe)](const DenoiserFunction& f, const Tensor& x, const NoiseSource& z,
                                        const std::vector<double>& levels,
                                        double epsilon) { return sample_edit(f, x, z, levels, epsilon, observe(x)); };
}

Editing sample_of(std::monostate, const ModelInfo&) { return {}; }

Editing sample_of(const Inpaint& task, const ModelInfo& info) {
  require_size("sample", task.sample.size(), info.sample.shape);
  require_size("mask", task.mask.size(), info.sample.shape);
  for (const float value : task.mask) {
    if (value != 0 && value != 1) refuse("mask holds " + std::to_string(value) + "; it must hold 0 and 1 alone");
  }
  // What is not known is not looked at.
  std::vector<float> known = task.sample;
  for (std::size_t i = 0; i < known.size(); ++i) known[i] = task.mask[i] == 1 ? known[i] : 0;
  require_finite("sample", known);
  return editing([known, mask = task.mask, shape = info.sample.shape](const Tensor& x) {
    return observe_values(rows(known, shape, x), rows(mask, shape, x));
  });
}

Editing sample_of(const Colorize& task, const ModelInfo& info) {
  if (info.sample.shape.front() != 3) {
    refuse("colorize needs a model of 3 channels; " + info.name + " has " + std::to_string(info.sample.shape.front()));
  }
  std::vector<std::int64_t> shape = info.sample.shape;
  shape.front() = 1;
  require_values("luma", task.luma, shape);
  return editing([task, shape](const Tensor& x) { return observe_luma(rows(task.luma, shape, x)); });
}

Editing sample_of(const Upscale& task, const ModelInfo& info) {
  if (info.data.modality != Modality::image)
    refuse("upscale needs a model of images; " + info.name + " makes " + name_of(info.data.modality));
  const std::int64_t channels = info.sample.shape[0], height = info.sample.shape[1], width = info.sample.shape[2];
  require_whole("factor", task.factor, 2, largest_block);
  if (height % task.factor != 0 || width % task.factor != 0) {
    refuse("factor = " + std::to_string(task.factor) + " must divide " + std::to_string(height) + " and " +
           std::to_string(width));
  }
  const std::vector<std::int64_t> shape{channels, height / task.factor, width / task.factor};
  require_values("means", task.means, shape);
  return editing(
      [task, shape](const Tensor& x) { return observe_block_means(rows(task.means, shape, x), task.factor); });
}

Editing sample_of(const Stroke& task, const ModelInfo& info) {
  require_values("guide", task.guide, info.sample.shape);
  return [task, shape = info.sample.shape](const DenoiserFunction& f, const Tensor& x, const NoiseSource& z,
                                           const std::vector<double>& levels, double epsilon) {
    return sample_consistency(f, rows(task.guide, shape, x) + x, z, levels, epsilon);
  };
}

Editing sample_of(const Denoise& task, const ModelInfo& info) {
  require_values("sample", task.sample, info.sample.shape);
  return [task, shape = info.sample.shape](const DenoiserFunction& f, const Tensor& x, const NoiseSource& z,
                                           const std::vector<double>& levels, double epsilon) {
    return sample_consistency(f, rows(task.sample, shape, x), z, levels, epsilon);
  };
}

}  // namespace

void plan_edit(Plan& plan, const Edit& edit, const ModelInfo& info) {
  if (std::holds_alternative<std::monostate>(edit)) return;
  if (info.components.contains("decoder"))
    refuse(info.name + " can't edit: its samples are what a decoder takes, and it has no encoder");
  ModelInfo sized = info;
  sized.sample.shape = plan.sample_shape;
  const Editing sample = std::visit([&](const auto& task) { return sample_of(task, sized); }, edit);
  if (plan.name != "consistency") {
    refuse("editing is done by the sampler consistency, on a consistency model; sampler " + plan.name + " can't");
  }
  plan.sample = [sample, levels = plan.levels, epsilon = renoise_epsilon(info)](const FlowMapFunction& f,
                                                                                const Tensor& x, const NoiseSource& z) {
    return sample(consistency_function_of(f), x, z, levels, epsilon);
  };
}

}  // namespace onestep
