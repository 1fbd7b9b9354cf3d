#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/script.h>

#include "engine.hpp"
#include "gpu_under_test.hpp"
#include "model_file.hpp"
#include "network_files.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "torchscript_network.hpp"

// The files that make_networks.py writes, compiled for the GPU of the tests.
namespace onestep::engine {

inline NetworkInput input_of(const ModelInfo& info, std::int64_t samples, double sigma_share = 0.3) {
  const at::Generator random = at::detail::createCPUGenerator(static_cast<std::uint64_t>(samples));
  std::vector<std::int64_t> shape = info.sample.shape;
  shape.insert(shape.begin(), samples);
  NetworkInput input = network_input(info, torch::randn(shape, random), info.sigma_max * sigma_share,
                                     info.sigma_min * 2, trial_condition(info, samples));
  input.conditions[0] += torch::arange(samples) * 0.01;
  return input;
}

inline NetworkInput moved(NetworkInput input) {
  input.x = on_device(input.x, gpu_under_test);
  return input;
}

/// A network where TorchScript runs it.
struct Plain : Network {
  Plain(const std::string& file, const ModelInfo& info, torch::Device device)
      : Network(file, denoiser_signature(info), device), module(torch::jit::load(file, device)) {
    module.eval();
  }
  torch::Tensor run(const NetworkInput& input) override { return run_as_it_is(module, input); }
  torch::jit::Module module;
};

struct File {
  explicit File(const std::string& name)
      : file(path(name)),
        info(read_model_info(file)),
        on_cpu(file, info, torch::kCPU),
        on_gpu(file, info, gpu_under_test) {
    settle(on_gpu.module, gpu_under_test);  // as where model files are loaded: traced networks allow TF32
  }

  std::unique_ptr<Network> compiled(Precision precision = Precision::fp32) {
    const torch::InferenceMode guard;
    const NetworkInput trial = moved(input_of(info, 2));
    return compile(
        on_gpu.module, std::make_unique<Plain>(file, info, gpu_under_test), trial,
        [&] { return on_gpu.forward(trial); }, precision);
  }

  std::string file;
  ModelInfo info;
  Plain on_cpu, on_gpu;
};

}  // namespace onestep::engine
