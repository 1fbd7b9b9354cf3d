#include "torch_call.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

class TorchCallStep : public Step {
 public:
  TorchCallStep(const Operation& operation, std::vector<TorchTensor> inputs, std::vector<TorchTensor> results)
      : operation_(operation), inputs_(std::move(inputs)), results_(std::move(results)) {}

  std::vector<std::size_t> reads() const override {
    std::vector<std::size_t> buffers;
    for (const TorchTensor& input : inputs_) {
      if (!input.is_condition && !input.constant.defined()) buffers.push_back(input.view.buffer);
    }
    return buffers;
  }
  std::vector<std::size_t> writes() const override {
    std::vector<std::size_t> buffers;
    for (const TorchTensor& result : results_) buffers.push_back(result.view.buffer);
    return buffers;
  }
  std::string describe() const override { return operation_.name + ", as it is"; }

  void run(const Run& run) const override {
    run.team->share(run.samples, [&](std::int64_t sample, std::byte*) {
      const torch::InferenceMode guard;
      const std::vector<Tensor> computed = call(operation_, [&](ValueId value) {
        const TorchTensor& input =
            *std::find_if(inputs_.begin(), inputs_.end(), [&](const auto& i) { return i.value == value; });
        if (input.constant.defined()) return input.constant;
        const float* data =
            input.is_condition ? run.conditions[sample] + input.view.offset : run.at(input.view, sample);
        return over(const_cast<float*>(data), input.view);
      });
      for (std::size_t i = 0; i < results_.size(); ++i) {
        over(run.at(results_[i].view, sample), results_[i].view).copy_(computed[i]);
      }
    });
  }

 private:
  static Tensor over(float* data, const View& view) {
    return torch::from_blob(data, view.sizes, view.strides, torch::kFloat32);
  }

  Operation operation_;
  std::vector<TorchTensor> inputs_, results_;
};

}  // namespace

std::unique_ptr<Step> torch_call_step(const Operation& operation, std::vector<TorchTensor> inputs,
                                      std::vector<TorchTensor> results) {
  return std::make_unique<TorchCallStep>(operation, std::move(inputs), std::move(results));
}

}  // namespace onestep::engine
