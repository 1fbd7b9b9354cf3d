#include <torch/script.h>

#include <chrono>

#include "engine.hpp"
#include "libtorch/computes_in.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/device.hpp"
#include "seconds_since.hpp"
#include "threads.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

class LibtorchNetwork : public Network {
 public:
  LibtorchNetwork(const std::string& name, const Signature& signature, torch::Device device,
                  const torch::jit::Module& module, Precision precision, std::string why_not_compiled)
      : Network(name, signature, device),
        module_(module),
        precision_(precision),
        why_not_compiled_(std::move(why_not_compiled)) {}

 protected:
  Tensor run(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    const LibtorchThreads all(threads());
    const torch::Device device = input.x.device();
    // A network may write to its inputs, which are the caller's.
    std::vector<torch::IValue> inputs{input.x.clone()};
    for (const Tensor& condition : input.conditions) {
      const Tensor there = on_device(condition, device);
      inputs.emplace_back(there.is_same(condition) ? condition.clone() : there);
    }
    const ComputesIn computes(device.type(), precision_);
    const torch::IValue result = module_.forward(std::move(inputs));
    if (!result.isTensor()) {
      throw Error(ErrorKind::model, name() + ": the network returned a " + result.tagKind() +
                                        ", not a tensor; let forward return the tensor alone");
    }
    const Tensor output = result.toTensor();
    return precision_ == Precision::fp32 ? output : output.to(torch::kFloat32);
  }

  EngineReport measure(const NetworkInput& input) override {
    EngineReport report;
    report.why_not = why_not_compiled_;
    report.precision = precision_;
    for (int turn = 0; turn < 2; ++turn) {  // the first warms up
      const auto started = std::chrono::steady_clock::now();
      // Until the result is here, where a GPU computes it.
      run(input).to(torch::kCPU);
      report.seconds = seconds_since(started);
    }
    return report;
  }

 private:
  torch::jit::Module module_;
  Precision precision_;
  std::string why_not_compiled_;
};

}  // namespace

std::unique_ptr<Network> libtorch_network(const std::string& name, const Signature& signature, torch::Device device,
                                          const torch::jit::Module& module, Precision precision,
                                          const std::string& why_not_compiled) {
  return std::make_unique<LibtorchNetwork>(name, signature, device, module, precision, why_not_compiled);
}

}  // namespace onestep::engine
