#pragma once

#include <torch/script.h>

#include <functional>
#include <memory>
#include <string>

namespace onestep::engine {

/// Puts what a graph calls in the place of the calls: a level of them at a time, where torch's optimizer is off.
void inline_calls(torch::jit::Graph& graph);

/// What a module's forward does, all that it calls included.
std::shared_ptr<torch::jit::Graph> inlined_graph(const torch::jit::Module& module);

/// Every node of a block, those within it first; `act` may replace it.
void for_each_node(torch::jit::Block* block, const std::function<void(torch::jit::Node*)>& act);

/// Puts what a TorchScript function does in the place of a node, whose inputs it takes.
void replace_by(torch::jit::Node* node, const torch::jit::CompilationUnit& unit, const std::string& function);

/// Makes one operator of a whole layer, as inference with torch.nn.MultiheadAttention and TransformerEncoderLayer has
/// it, the operators that it consists of.
void spell_out_layers(const std::shared_ptr<torch::jit::Graph>& graph);

}  // namespace onestep::engine
