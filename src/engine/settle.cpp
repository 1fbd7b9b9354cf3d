#include <torch/csrc/jit/passes/canonicalize_graph_fuser_ops.h>
#include <torch/script.h>

#include <set>

#include "engine.hpp"
#include "gpu/exact_convolutions.hpp"
#include "trace/script.hpp"

namespace onestep::engine {
namespace {

using torch::jit::Node;

/// Every node of the function, and of those that it calls; each function once.
void for_each_called_node(torch::jit::Function& function, std::set<const torch::jit::Function*>& seen,
                          const std::function<void(Node*)>& act) {
  if (!function.isGraphFunction() || !seen.insert(&function).second) return;
  for_each_node(toGraphFunction(function).graph()->block(), [&](Node* node) {
    if (node->kind() == torch::jit::prim::CallFunction)
      for_each_called_node(*node->input(0)->type()->expectRef<c10::FunctionType>().function(), seen, act);
    act(node);
  });
}

/// A device that the code names is the one on which the network was made; it means the one on which it runs.
void name_device(Node* node, torch::Device device) {
  if (node->kind() == torch::jit::prim::Constant && node->output()->type()->kind() == c10::TypeKind::DeviceObjType)
    node->s_(torch::jit::attr::value, device.str());
}

}  // namespace

void settle(const torch::jit::Module& module, torch::Device device) {
  std::set<const torch::jit::Function*> seen;
  for (const torch::jit::Module& part : module.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) {
      for_each_called_node(method.function(), seen, [&](Node* node) {
        name_device(node, device);
        if (!device.is_cpu()) convolve_exactly(node);
      });
      // The part of torch's optimizer that decides types: a number that was traced is a tensor of double precision
      // until then.
      torch::jit::CanonicalizeOps(method.graph());
    }
  }
}

}  // namespace onestep::engine
