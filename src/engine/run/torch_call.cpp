#include "run/torch_call.hpp"

#include <limits>
#include <unordered_map>

#include "threads.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

class TorchCallStep : public Step {
 public:
  TorchCallStep(std::vector<Operation> operations, std::vector<TorchTensor> inputs, std::vector<TorchTensor> results)
      : operations_(std::move(operations)), inputs_(std::move(inputs)), results_(std::move(results)) {}

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
  std::string describe() const override { return operations_.back().name + ", as it is"; }

  std::int64_t items(const Run& run, std::int64_t) const override { return run.samples; }
  double cost(const Run&, std::int64_t) const override { return std::numeric_limits<double>::infinity(); }

  void do_item(const Run& run, std::int64_t, std::int64_t sample, std::byte*) const override {
    const torch::InferenceMode guard;
    const LibtorchThreads alone(1);
    const c10::WarningUtils::WarningHandlerGuard heard(run.warnings);
    std::unordered_map<ValueId, Tensor> values;
    for (const TorchTensor& input : inputs_) values[input.value] = given(run, input, sample);
    for (const Operation& operation : operations_) {
      const std::vector<Tensor> computed = call(operation, [&](ValueId value) { return values.at(value); });
      for (std::size_t i = 0; i < computed.size(); ++i) values[operation.results[i]] = computed[i];
    }
    for (const TorchTensor& result : results_)
      over(run.at(result.view, sample), result.view).copy_(values.at(result.value));
  }

 private:
  static Tensor given(const Run& run, const TorchTensor& input, std::int64_t sample) {
    if (input.constant.defined()) return input.constant;
    const float* data = input.is_condition ? run.conditions[sample] + input.view.offset : run.at(input.view, sample);
    return over(const_cast<float*>(data), input.view).to(input.type);
  }

  static Tensor over(float* data, const View& view) {
    return torch::from_blob(data, view.sizes, view.strides, torch::kFloat32);
  }

  std::vector<Operation> operations_;
  std::vector<TorchTensor> inputs_, results_;
};

}  // namespace

std::unique_ptr<Step> torch_call_step(std::vector<Operation> operations, std::vector<TorchTensor> inputs,
                                      std::vector<TorchTensor> results) {
  return std::make_unique<TorchCallStep>(std::move(operations), std::move(inputs), std::move(results));
}

}  // namespace onestep::engine
