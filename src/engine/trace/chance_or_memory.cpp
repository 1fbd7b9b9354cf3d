#include <ATen/core/enum_tag.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/script.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "engine.hpp"
#include "trace/script.hpp"

namespace onestep::engine {
namespace {

using torch::IValue;
using torch::jit::Node;
using torch::jit::Value;

/// What an attribute of the module, or of a module in it, is. Nothing: the value is something else.
std::optional<IValue> attribute(const torch::jit::Module& module, const Value* self, const Value* value) {
  if (value == self) return IValue(module._ivalue());
  const Node* node = value->node();
  if (node->kind() != torch::jit::prim::GetAttr) return std::nullopt;
  const auto owner = attribute(module, self, node->input());
  return owner ? std::optional(owner->toObjectRef().getAttr(node->s(torch::jit::attr::name))) : std::nullopt;
}

/// Attributes that are numbers, such as `training`, become what they are, so that code that never runs goes. Those that
/// are written stay.
void fold_attributes(const torch::jit::Module& module, torch::jit::Graph& graph) {
  std::set<std::string> written;
  for_each_node(graph.block(), [&](const Node* node) {
    if (node->kind() == torch::jit::prim::SetAttr) written.insert(node->s(torch::jit::attr::name));
  });
  for_each_node(graph.block(), [&](Node* node) {
    if (node->kind() != torch::jit::prim::GetAttr || written.contains(node->s(torch::jit::attr::name))) return;
    const auto value = attribute(module, graph.inputs().at(0), node->output());
    if (!value || !(value->isBool() || value->isInt() || value->isDouble() || value->isNone())) return;
    const torch::jit::WithInsertPoint here(node);
    node->output()->replaceAllUsesWith(graph.insertConstant(*value));
  });
}

bool draws(const Node* node) {
  const auto* known = node->maybeOperator();
  if (!known) return false;
  const auto tags = known->getTags();
  if (std::find(tags.begin(), tags.end(), at::Tag::nondeterministic_seeded) == tags.end()) return false;
  for (const char* name : {"train", "training"}) {
    if (node->hasNamedInput(name) && torch::jit::constant_as<bool>(node->namedInput(name)) == false) return false;
  }
  for (const char* name : {"p", "dropout_p"}) {
    if (node->hasNamedInput(name) && torch::jit::constant_as<double>(node->namedInput(name)) == 0) return false;
  }
  return true;
}

/// The first node that keeps something or draws numbers, as messages have it; empty: none.
std::string found_in(torch::jit::Graph& graph) {
  std::string kept, drawn;
  for_each_node(graph.block(), [&](const Node* node) {
    if (kept.empty() && node->kind() == torch::jit::prim::SetAttr)
      kept = "keeps " + node->s(torch::jit::attr::name) + " from one call to the next";
    if (drawn.empty() && draws(node)) drawn = std::string("draws random numbers (") + node->kind().toQualString() + ")";
  });
  return kept.empty() ? drawn : kept;
}

}  // namespace

std::string chance_or_memory(const torch::jit::Module& module) {
  auto graph = inlined_graph(module);
  if (found_in(*graph).empty()) return {};
  fold_attributes(module, *graph);
  torch::jit::ConstantPropagationImmutableTypes(graph);
  torch::jit::EliminateDeadCode(graph);
  return found_in(*graph);
}

}  // namespace onestep::engine
