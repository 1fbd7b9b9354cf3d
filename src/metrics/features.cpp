#include "features.hpp"

#include <torch/script.h>

#include "listening.hpp"
#include "onestep/error.hpp"
#include "threads.hpp"
#include "torch_error.hpp"

namespace onestep {

using torch::Tensor;

const char* name_of(Resize resize) { return resize == Resize::bicubic ? "bicubic" : "bilinear"; }

struct FeatureNetwork::Module {
  torch::jit::Module network;
};

FeatureNetwork::FeatureNetwork(FeatureOptions options) : options_(std::move(options)) {
  if (options_.network.empty()) return;
  const Listening listening(options_.network);
  try {
    module_ = std::make_unique<Module>(Module{torch::jit::load(options_.network)});
    module_->network.eval();
  } catch (const std::exception& error) {
    fail("the feature network can't be loaded; it must be TorchScript, [N, ...] to [N, D]: " + in_one_line(error));
  }
}

FeatureNetwork::~FeatureNetwork() = default;

void FeatureNetwork::fail(const std::string& what) const {
  throw Error(ErrorKind::file, options_.network + ": " + what);
}

Features FeatureNetwork::of(const Tensor& samples) const {
  const torch::InferenceMode guard;
  const LibtorchThreads all(threads());
  const Listening listening(options_.network);
  if (samples.size(0) == 0) return {torch::empty({0, 1}), {}};
  std::vector<Tensor> points, logits;
  for (const Tensor& batch : samples.split(256)) {
    Features features = of_a_batch(batch);
    if (!points.empty() && features.points.size(1) != points.front().size(1))
      fail("the feature network returned " + std::to_string(features.points.size(1)) + " features, and " +
           std::to_string(points.front().size(1)) + " before");
    points.push_back(std::move(features.points));
    if (features.logits.defined()) logits.push_back(std::move(features.logits));
  }
  return {torch::cat(points), logits.empty() ? Tensor() : torch::cat(logits)};
}

Features FeatureNetwork::of_a_batch(const Tensor& samples) const {
  Tensor x = samples;
  const std::int64_t rows = x.size(0);
  if (x.dim() == 4) {
    if (options_.size && (x.size(2) != options_.size->second || x.size(3) != options_.size->first)) {
      const std::vector<std::int64_t> size{options_.size->second, options_.size->first};
      x = options_.resize == Resize::bicubic ? at::_upsample_bicubic2d_aa(x, size, /*align_corners=*/false)
                                             : at::upsample_bilinear2d(x, size, /*align_corners=*/false);
    }
    if (options_.channels && x.size(1) == 1) x = x.expand({-1, *options_.channels, -1, -1}).contiguous();
  }
  if (!module_) return {x.reshape({rows, -1})};

  std::vector<Tensor> results;
  try {
    const torch::jit::IValue value = module_->network.forward({x});
    if (value.isTuple()) {
      for (const torch::jit::IValue& part : value.toTupleRef().elements()) results.push_back(part.toTensor());
    } else {
      results.push_back(value.toTensor());
    }
    for (Tensor& result : results) {
      result = result.to(torch::kFloat32).contiguous();
      while (result.dim() > 2 && result.size(-1) == 1) result = result.squeeze(-1);
    }
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    fail("the feature network failed: " + in_one_line(error));
  }
  if (results.empty() || results.size() > 2) fail("the feature network must return features, or features and logits");
  for (const Tensor& result : results) {
    if (result.dim() != 2 || result.size(0) != rows || result.size(1) < 1)
      fail("the feature network must return [N, D], one row a sample");
    if (!result.isfinite().all().item<bool>())
      throw Error(ErrorKind::numerical, options_.network + ": the feature network returned NaN or infinity");
  }
  return {results[0], results.size() > 1 ? results[1] : Tensor()};
}

}  // namespace onestep
