#include "torchscript_network.hpp"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <future>
#include <map>

#include "archive.hpp"
#include "engine.hpp"
#include "listening.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "preconditioning.hpp"
#include "threads.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

using torch::Tensor;

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

/// How often each of the module's tensors was written to.
std::map<std::string, std::uint32_t> writes(const torch::jit::Module& module) {
  std::map<std::string, std::uint32_t> counts;
  const auto count = [&](const auto& tensors) {
    for (const auto& [name, tensor] : tensors) counts[name] = tensor.is_inference() ? 0 : tensor._version();
  };
  count(module.named_buffers());
  count(module.named_parameters());
  return counts;
}

/// Equal inputs give equal outputs.
[[noreturn]] void refuse_chance_or_memory(const std::string& file, const std::string& found) {
  throw Error(ErrorKind::model, file + ": forward " + found +
                                    ", so that the same seed would not give the same sample; call eval() on the module "
                                    "before it is exported, and let forward depend on its inputs alone");
}

/// What exports most often do wrong where a trial call fails, and the way out. Empty: none of it.
std::string way_out(const torch::jit::Module& module, Network& plain, const NetworkInput& trial,
                    const std::string& failure) {
  for (const Tensor& weight : module.parameters()) {
    if (weight.is_floating_point() && weight.scalar_type() != torch::kFloat32) {
      return std::string("; it has weights of type ") + c10::toString(weight.scalar_type()) +
             ": call .float() on the module before it is exported";
    }
  }
  if (failure.find("indices") != std::string::npos && failure.find("Long") != std::string::npos)
    return "; the noise level is float32: where it is looked up in a table, call .long() on it in forward";
  try {
    plain.forward(trial.row(0));
  } catch (const Error&) {
    return {};
  }
  return "; one sample alone succeeds: trace it with a batch of 2 or more and take the batch's size from x.shape[0], "
         "or "
         "compile it with torch.jit.script";
}

/// The trial call, which says what is wrong with the network.
Tensor try_out(const torch::jit::Module& module, Network& plain, const NetworkInput& trial) {
  const auto before = writes(module);
  Tensor output;
  try {
    output = plain.forward(trial);
  } catch (const Error& failure) {
    if (failure.kind() != ErrorKind::model) throw;
    throw Error(ErrorKind::model, failure.what() + way_out(module, plain, trial, failure.what()));
  }
  for (const auto& [name, count] : writes(module)) {
    if (count != before.at(name)) refuse_chance_or_memory(plain.name(), "writes to " + name + " of the module");
  }
  return output;
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

struct Chosen {
  LoadedNetwork loaded;
  bool rows_were_compared = false;  // when it was compiled: each row of the trial alone with both together
};

/// The network, compiled or as it is, in the precision that was asked for or that is the best. expected(): what it
/// makes of the trial, on other processors than the `share` threads of libtorch's here.
Chosen choose_network(const torch::jit::Module& module, Network& exact, const NetworkInput& trial,
                      const std::function<Tensor()>& expected, int share, const NetworkOptions& options) {
  const bool automatic = options.precision == Precision::automatic;
  const Precision asked = automatic ? Precision::fp32 : options.precision;
  const auto plain = [&](Precision precision, const std::string& why_not) {
    return engine::libtorch_network(exact.name(), exact.signature(), options.device, module, precision, why_not);
  };
  const auto compiled = [&](Precision precision) {
    const LibtorchThreads libtorch(share);
    return engine::compile(module, plain(precision, ""), trial, expected, precision);
  };
  const auto in_use = [&](const std::string& why) { return PrecisionInUse{asked, automatic ? why : "as asked for"}; };
  const auto as_it_is = [&](const std::string& why_not) {
    return Chosen{{plain(asked, why_not), in_use("libtorch runs the network as it is")}};
  };
  if (!options.compile) return as_it_is("it was asked to run as it is");
  std::string why = options.device.is_cpu() ? "this CPU has neither AMX nor AVX512-BF16"
                                            : "this GPU is not faster at bf16 than at float32";
  if (automatic && options.consider_bf16.value_or(engine::is_faster_in_bf16(options.device))) {
    try {
      auto reduced = compiled(Precision::bf16);
      const Verdict verdict = options.compare(exact, *reduced);
      if (verdict.near) return {{std::move(reduced), {Precision::bf16, verdict.found}}, options.device.is_cpu()};
      why = "in bf16 " + verdict.found;
    } catch (const std::exception& reason) {
      why = "in bf16: " + in_one_line(reason);
    }
  }
  try {
    return {{compiled(asked), in_use(why)}, options.device.is_cpu()};
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
    require_readable(file);
    torch::jit::Module module = torch::jit::load(file, options.device);
    module.eval();
    engine::settle(module, options.device);
    check_arguments(module, file, signature);
    if (const std::string found = engine::chance_or_memory(module); !found.empty())
      refuse_chance_or_memory(file, found);
    // A few calls do not repay what torch's own optimizer takes.
    const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
    const auto plain = engine::libtorch_network(file, signature, options.device, module, Precision::fp32);
    // Compiling takes as long as libtorch's trial, and does most of it on one thread: they share the processors, each
    // with threads of its own, so that libtorch's don't spin where there are two.
    const int all = threads(), share = std::max(all / 2, 1);
    const bool at_once = all > 1 && options.device.is_cpu() && options.compile;
    const auto tried = std::async(at_once ? std::launch::async | std::launch::deferred : std::launch::deferred, [&] {
                         const Listening listening(file);
                         const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
                         const LibtorchThreads libtorch(at_once ? all - share : all);
                         Tensor both = try_out(module, *plain, trial);
                         require_finite(both, file);
                         return both;
                       }).share();
    Chosen chosen = choose_network(
        module, *plain, trial, [&] { return tried.get(); }, at_once ? share : all, options);
    const Tensor both = tried.get();  // what a trial throws is the reason for all else that went wrong
    if (!chosen.rows_were_compared) {
      for (int row = 0; row < 2; ++row) check_row(both, file, row, plain->forward(trial.row(row)));
    }
    return std::move(chosen.loaded);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(ErrorKind::model, file + ": the network can't be loaded: " + in_one_line(e));
  }
}

}  // namespace onestep
