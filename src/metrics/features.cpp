#include "features.hpp"

#include <torch/script.h>

#include <algorithm>

#include "listening.hpp"
#include "onestep/error.hpp"

namespace onestep {
namespace {

/// What libtorch says first; the rest is a stack of calls.
std::string first_words(const std::exception& error) {
  const std::string what = error.what();
  return what.substr(0, what.find('\n'));
}

}  // namespace

struct FeatureNetwork::Module {
  torch::jit::Module network;
};

FeatureNetwork::FeatureNetwork(const std::string& file) : file_(file) {
  if (file.empty()) return;
  const Listening listening(file_);
  try {
    module_ = std::make_unique<Module>(Module{torch::jit::load(file)});
    module_->network.eval();
  } catch (const std::exception& error) {
    throw Error(ErrorKind::file, file +
                                     ": the feature network can't be loaded; it must be TorchScript, [N, ...] to "
                                     "[N, D]: " +
                                     first_words(error));
  }
}

FeatureNetwork::~FeatureNetwork() = default;

Points FeatureNetwork::points(std::span<const float> values, const std::vector<std::int64_t>& shape) const {
  const std::int64_t size = c10::multiply_integers(shape);
  const auto count = static_cast<std::int64_t>(values.size()) / size;
  if (!module_) return Eigen::Map<const Points>(values.data(), count, size);
  const torch::InferenceMode guard;
  const Listening listening(file_);
  Points points;
  constexpr std::int64_t batch = 256;
  for (std::int64_t first = 0; first < count; first += batch) {
    std::vector<std::int64_t> sizes = shape;
    sizes.insert(sizes.begin(), std::min(batch, count - first));
    torch::Tensor features;
    try {
      const torch::Tensor x = torch::from_blob(const_cast<float*>(values.data()) + first * size, sizes);
      features = module_->network.forward({x}).toTensor().to(torch::kFloat32).contiguous();
    } catch (const std::exception& error) {
      throw Error(ErrorKind::file, file_ + ": the feature network failed: " + first_words(error));
    }
    if (features.dim() != 2 || features.size(0) != sizes[0] || features.size(1) < 1) {
      throw Error(ErrorKind::file, file_ + ": the feature network must return [N, D], one row a sample");
    }
    if (first == 0) points.resize(count, features.size(1));
    if (features.size(1) != points.cols() || !features.isfinite().all().item<bool>()) {
      throw Error(ErrorKind::numerical, file_ + ": the feature network returned NaN, infinity or another width");
    }
    points.middleRows(first, sizes[0]) =
        Eigen::Map<const Points>(features.const_data_ptr<float>(), sizes[0], points.cols());
  }
  return points;
}

}  // namespace onestep
