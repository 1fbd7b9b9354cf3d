#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <chrono>
#include <filesystem>

#include "engine.hpp"
#include "metadata.hpp"
#include "model_file.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "preconditioning.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

using torch::Tensor;

class TorchScriptNetwork : public Network {
 public:
  explicit TorchScriptNetwork(torch::jit::Module module, std::string why_not_compiled = {})
      : module_(std::move(module)), why_not_compiled_(std::move(why_not_compiled)) {}

  Tensor forward(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    std::vector<torch::IValue> inputs{input.x, input.noise};
    for (const Tensor* further : {&input.target, &input.label, &input.guidance}) {
      if (further->defined()) inputs.emplace_back(*further);
    }
    return module_.forward(std::move(inputs)).toTensor();
  }

  EngineReport report(const NetworkInput& input) override {
    EngineReport report;
    report.why_not = why_not_compiled_;
    for (int turn = 0; turn < 2; ++turn) {  // the first warms up
      const auto started = std::chrono::steady_clock::now();
      forward(input);
      report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    }
    return report;
  }

 private:
  torch::jit::Module module_;
  std::string why_not_compiled_;
};

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (const auto size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

void check_arguments(const torch::jit::Module& module, const std::string& file, const ModelInfo& info) {
  if (!module.find_method("forward")) throw ModelError(file + ": the module has no forward method; export it with one");
  // The first argument is the module itself.
  const auto& arguments = module.get_method("forward").function().getSchema().arguments();
  std::vector<std::string> given{"x", "noise"};
  if (info.role == Role::flow_map) given.emplace_back("target");
  if (info.label_count > 0) given.emplace_back("label");
  if (info.guidance) given.emplace_back("guidance");
  std::size_t required = 0;
  for (std::size_t i = 1; i < arguments.size(); ++i) required += !arguments[i].default_value().has_value();
  if (given.size() < required || given.size() > arguments.size() - 1) {
    std::string names;
    for (const std::string& name : given) names += (names.empty() ? "" : ", ") + name;
    throw ModelError(file + ": forward takes " + std::to_string(arguments.size() - 1) +
                     " arguments, but its metadata makes " + std::to_string(given.size()) + ": " + names);
  }
}

/// The trial call: two different rows, so that one that leaks into the other shows.
NetworkInput trial_input(const ModelInfo& info, torch::Device device) {
  std::vector<std::int64_t> shape = info.shape;
  shape.insert(shape.begin(), 2);
  const Tensor x = torch::linspace(-1, 1, c10::multiply_integers(shape), device).reshape(shape);
  const Tensor label =
      info.label_count > 0 ? torch::tensor({std::int64_t{0}, info.label_count - 1}).to(device) : Tensor();
  const double in = precondition(info, info.sigma_min).in;
  return network_input(info, in * x, info.sigma_min, 0, {.label = label, .guidance = info.guidance.value_or(1)});
}

NetworkInput row_of(const NetworkInput& input, std::int64_t row) {
  NetworkInput one = input;
  for (Tensor* part : {&one.x, &one.noise, &one.target, &one.label, &one.guidance}) {
    if (part->defined()) *part = part->narrow(0, row, 1);
  }
  return one;
}

void try_out(Network& network, const std::string& file, const NetworkInput& input) {
  const Tensor both = network.forward(input);
  if (both.sizes() != input.x.sizes()) {
    throw ModelError(file + ": the network returned shape " + shape_text(both.sizes()) + " for an input of shape " +
                     shape_text(input.x.sizes()) + "; they must be equal");
  }
  if (both.scalar_type() != torch::kFloat32) {
    throw ModelError(file + ": the network returned " + c10::toString(both.scalar_type()) +
                     "; it must return float32 (Float)");
  }
  if (!both.isfinite().all().item<bool>()) {
    throw ModelError(file +
                     ": the network returned NaN or infinity in its trial call at sigma_min; retrain or re-export it");
  }
  for (int row = 0; row < 2; ++row) {
    const Tensor alone = network.forward(row_of(input, row));
    const double difference = (alone - both.narrow(0, row, 1)).abs().max().item<double>();
    // Not `>`: a NaN must fail too.
    if (!(difference <= 1e-3)) {
      throw ModelError(file + ": sample " + std::to_string(row) + " of a batch differs by " +
                       std::to_string(difference) +
                       " from the same sample alone, allowed is 0.001; is the module in eval mode?");
    }
  }
}

}  // namespace

ModelInfo read_model_info(const std::string& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) throw ModelError(file + ": no such file");
  if (std::filesystem::is_directory(status)) throw ModelError(file + ": is a folder; give the model file in it");
  const auto size = std::filesystem::file_size(file, error);
  if (error) throw ModelError(file + ": can't be read: " + error.message());
  if (size == 0) throw ModelError(file + ": is empty; copy or export it again");
  std::string json;
  try {
    caffe2::serialize::PyTorchStreamReader reader(file);
    if (!reader.hasRecord("constants.pkl")) {
      throw ModelError(file + ": is no TorchScript file (a Python state dict?); write one with models/export.py");
    }
    if (!reader.hasRecord("extra/onestep.json")) {
      throw ModelError(file + ": is TorchScript, but holds no onestep.json; write it with models/export.py");
    }
    const auto [data, length] = reader.getRecord("extra/onestep.json");
    json.assign(static_cast<const char*>(data.get()), length);
  } catch (const ModelError&) {
    throw;
  } catch (const std::exception& e) {
    throw ModelError(file + ": is no TorchScript file, or is damaged (" + first_line(e) + "); copy or export it again");
  }
  return parse_metadata(json, file);
}

std::unique_ptr<Network> load_torchscript(const std::string& file, const ModelInfo& info, torch::Device device,
                                          bool compile) {
  try {
    torch::jit::Module module = torch::jit::load(file, device);
    module.eval();
    check_arguments(module, file, info);
    const NetworkInput trial = trial_input(info, device);
    {
      // Three calls do not repay what torch's own optimizer takes.
      const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
      TorchScriptNetwork plain(module);
      try_out(plain, file, trial);
    }
    std::string why_not = "it was asked to run as it is";
    if (device.is_cuda()) {
      why_not = "it runs on a GPU";
    } else if (compile) {
      try {
        return engine::compile(module, row_of(trial, 0));
      } catch (const std::exception& reason) {  // libtorch's too: what it cannot do alone, it can in the whole
        why_not = first_line(reason);
      }
    }
    return std::make_unique<TorchScriptNetwork>(std::move(module), std::move(why_not));
  } catch (const ModelError&) {
    throw;
  } catch (const std::exception& e) {
    throw ModelError(file + ": the network can't be loaded or fails its trial call: " + first_line(e));
  }
}

}  // namespace onestep
