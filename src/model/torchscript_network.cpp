#include "torchscript_network.hpp"

#include <torch/csrc/jit/passes/canonicalize_graph_fuser_ops.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>

#include "autocast.hpp"
#include "engine.hpp"
#include "exact_convolutions.hpp"
#include "gpu.hpp"
#include "listening.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "preconditioning.hpp"
#include "script.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

using torch::Tensor;

class TorchScriptNetwork : public Network {
 public:
  TorchScriptNetwork(const std::string& name, const Signature& signature, torch::Device device,
                     torch::jit::Module module, std::string why_not_compiled = {},
                     Precision precision = Precision::fp32)
      : Network(name, signature, device),
        module_(std::move(module)),
        why_not_compiled_(std::move(why_not_compiled)),
        precision_(precision) {}

 protected:
  Tensor run(const NetworkInput& input) override {
    const torch::InferenceMode guard;
    const torch::Device device = input.x.device();
    std::vector<torch::IValue> inputs{input.x};
    for (const Tensor& condition : input.conditions) inputs.emplace_back(on_device(condition, device));
    const engine::ComputesIn computes(device.type(), precision_);
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
      report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    }
    return report;
  }

 private:
  torch::jit::Module module_;
  std::string why_not_compiled_;
  Precision precision_;
};

void check_arguments(const torch::jit::Module& module, const std::string& file, const Signature& signature) {
  if (!module.find_method("forward"))
    throw Error(ErrorKind::model, file + ": the module has no forward method; export it with one");
  // The first argument is the module itself.
  const auto& arguments = module.get_method("forward").function().getSchema().arguments();
  const std::vector<Port>& given = signature.inputs;
  std::size_t required = 0;
  for (std::size_t i = 1; i < arguments.size(); ++i) required += !arguments[i].default_value().has_value();
  if (given.size() < required || given.size() > arguments.size() - 1) {
    std::string names;
    for (const Port& port : given) names += (names.empty() ? "" : ", ") + port.name;
    throw Error(ErrorKind::model, file + ": forward takes " + std::to_string(arguments.size() - 1) +
                                      " arguments, but its metadata makes " + std::to_string(given.size()) + ": " +
                                      names);
  }
}

using torch::jit::Node;

/// Every node of the function, and of those that it calls; each function once.
void for_each_node(torch::jit::Function& function, std::set<const torch::jit::Function*>& seen,
                   const std::function<void(Node*)>& act) {
  if (!function.isGraphFunction() || !seen.insert(&function).second) return;
  engine::for_each_node(toGraphFunction(function).graph()->block(), [&](Node* node) {
    if (node->kind() == torch::jit::prim::CallFunction)
      for_each_node(*node->input(0)->type()->expectRef<c10::FunctionType>().function(), seen, act);
    act(node);
  });
}

/// A device that the code names is the one on which the network was made; it means the one on which it runs.
void name_device(Node* node, torch::Device device) {
  if (node->kind() == torch::jit::prim::Constant && node->output()->type()->kind() == c10::TypeKind::DeviceObjType)
    node->s_(torch::jit::attr::value, device.str());
}

/// The code as it is to run on the device.
void settle(const torch::jit::Module& module, torch::Device device) {
  std::set<const torch::jit::Function*> seen;
  for (const torch::jit::Module& part : module.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) {
      for_each_node(method.function(), seen, [&](Node* node) {
        name_device(node, device);
        if (!device.is_cpu()) convolve_exactly(node);
      });
      // The part of torch's optimizer that decides types: a number that was traced is a tensor of double precision
      // until then.
      torch::jit::CanonicalizeOps(method.graph());
    }
  }
}

/// A denoiser's trial call: two different rows, so that one that leaks into the other shows.
NetworkInput trial_input(const ModelInfo& info, torch::Device device) {
  std::vector<std::int64_t> shape = info.sample.shape;
  shape.insert(shape.begin(), 2);
  const Tensor x = torch::linspace(-1, 1, c10::multiply_integers(shape), device).reshape(shape);
  Condition condition = trial_condition(info, 2);
  if (info.label_count > 0) condition.label[1] = info.label_count - 1;
  return network_input(info, precondition(info, info.sigma_min).in * x, info.sigma_min, 0, condition);
}

void require_finite(const Tensor& both, const std::string& file) {
  if (!both.isfinite().all().item<bool>()) {
    throw Error(ErrorKind::model,
                file + ": the network returned NaN or infinity in its trial call; retrain or re-export it");
  }
}

/// A row does not depend on the other.
void check_row(const Tensor& both, const std::string& file, int row, const Tensor& alone) {
  const double difference = (alone - both.narrow(0, row, 1)).abs().max().item<double>();
  // Not `>`: a NaN must fail too.
  if (!(difference <= 1e-3)) {
    throw Error(ErrorKind::model, file + ": sample " + std::to_string(row) + " of a batch differs by " +
                                      std::to_string(difference) +
                                      " from the same sample alone, allowed is 0.001; is the module in eval mode?");
  }
}

/// What the engine compiles for the CPU, or why it can't.
struct Traced {
  std::optional<engine::Trace> trace = {};
  std::string why_not = {};
};

Traced try_trace(const torch::jit::Module& module, const NetworkInput& one, const NetworkOptions& options) {
  if (!options.compile || !options.device.is_cpu()) return {};
  try {
    return {.trace = engine::trace(module, one)};
  } catch (const std::exception& reason) {  // libtorch's too: what it cannot do alone, it can in the whole
    return {.why_not = in_one_line(reason)};
  }
}

bool has_free_sizes(const Signature& signature) {
  const std::vector<Size>& x = signature.inputs.front().shape;
  return std::any_of(x.begin() + 1, x.end(), [](const Size& size) { return !size.name.empty(); });
}

/// The network, compiled or as it is, in the precision that was asked for or that is the best. `expected`: what it made
/// of the trial.
LoadedNetwork choose_network(const torch::jit::Module& module, const Traced& traced, Network& exact,
                             const NetworkInput& trial, const Tensor& expected, const NetworkOptions& options) {
  using kernels::bf16::Unit;
  const bool automatic = options.precision == Precision::automatic;
  const bool on_cpu = options.device.is_cpu();
  const Precision asked = automatic ? Precision::fp32 : options.precision;
  const Unit unit = kernels::bf16::units().back();
  const auto plain = [&](const std::string& why_not, Precision precision) {
    return std::make_unique<TorchScriptNetwork>(exact.name(), exact.signature(), options.device, module, why_not,
                                                precision);
  };
  const auto compiled = [&](Precision precision) {
    if (!on_cpu) {
      return engine::compile_for_gpu(exact.name(), exact.signature(), module, plain("", precision), trial, expected,
                                     precision);
    }
    return engine::compile(exact.name(), exact.signature(), *traced.trace, trial, expected,
                           precision == Precision::bf16 ? std::optional(unit) : std::nullopt);
  };
  const auto in_use = [&](const std::string& why) { return PrecisionInUse{asked, automatic ? why : "as asked for"}; };
  const auto as_it_is = [&](const std::string& why_not) {
    return LoadedNetwork{plain(why_not, asked), in_use("libtorch runs the network as it is")};
  };
  if (!options.compile) return as_it_is("it was asked to run as it is");
  if (on_cpu && has_free_sizes(exact.signature())) return as_it_is("it takes samples of any size");
  if (on_cpu && !traced.trace) return as_it_is(traced.why_not);
  std::string why =
      on_cpu ? "this CPU has neither AMX nor AVX512-BF16" : "this GPU is not faster at bf16 than at float32";
  const bool is_faster = on_cpu ? unit != Unit::emulated : engine::has_fast_bf16(options.device);
  if (automatic && options.consider_bf16.value_or(is_faster)) {
    try {
      auto reduced = compiled(Precision::bf16);
      const Verdict verdict = options.compare(exact, *reduced);
      if (verdict.near) return {std::move(reduced), {Precision::bf16, verdict.found}};
      why = "in bf16 " + verdict.found;
    } catch (const std::exception& reason) {
      why = "in bf16: " + in_one_line(reason);
    }
  }
  try {
    return {compiled(asked), in_use(why)};
  } catch (const std::exception& reason) {
    return as_it_is(in_one_line(reason));
  }
}

}  // namespace

LoadedNetwork load_torchscript(const std::string& file, const ModelInfo& info, const NetworkOptions& options) {
  return load_component(file, denoiser_signature(info), trial_input(info, options.device), options);
}

LoadedNetwork load_component(const std::string& file, const Signature& signature, const NetworkInput& trial,
                             const NetworkOptions& options) {
  if (options.precision == Precision::fp16 && options.device.is_cpu()) {
    throw Error(ErrorKind::usage, "precision fp16 is for GPUs; on a CPU give auto, fp32 or bf16");
  }
  const Listening listening(file);
  try {
    torch::jit::Module module = torch::jit::load(file, options.device);
    module.eval();
    settle(module, options.device);
    check_arguments(module, file, signature);
    // A few calls do not repay what torch's own optimizer takes.
    const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
    TorchScriptNetwork plain(file, signature, options.device, module);
    const Tensor both = plain.forward(trial);
    require_finite(both, file);
    const NetworkInput first = trial.row(0);
    const Traced traced = try_trace(module, first, options);
    check_row(both, file, 0, traced.trace ? traced.trace->output : plain.forward(first));
    LoadedNetwork chosen = choose_network(module, traced, plain, trial, both, options);
    // In lower precision it would differ for that alone.
    Network& exact = chosen.precision.precision == Precision::fp32 ? *chosen.network : plain;
    check_row(both, file, 1, exact.forward(trial.row(1)));
    return chosen;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(ErrorKind::model, file + ": the network can't be loaded: " + in_one_line(e));
  }
}

}  // namespace onestep
