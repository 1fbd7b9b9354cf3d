#include "trace/script.hpp"

#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/lower_tuples.h>
#include <torch/jit.h>

namespace onestep::engine {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

/// TorchScript: the layers, without masks.
constexpr const char* layers = R"(
def of_heads(x, heads: int):
    return x.unflatten(2, [heads, -1]).transpose(1, 2)

def multi_head_attention(query, key, value, width: int, heads: int, qkv_weight, qkv_bias, out_weight, out_bias,
                         mask: Optional[Tensor], need_weights: bool, average: bool, mask_type: Optional[int]):
    if query is key and key is value:
        qkv = torch.linear(query, qkv_weight, qkv_bias)
        q, k, v = qkv.narrow(2, 0, width), qkv.narrow(2, width, width), qkv.narrow(2, 2 * width, width)
    else:
        q = torch.linear(query, qkv_weight.narrow(0, 0, width), qkv_bias.narrow(0, 0, width))
        k = torch.linear(key, qkv_weight.narrow(0, width, width), qkv_bias.narrow(0, width, width))
        v = torch.linear(value, qkv_weight.narrow(0, 2 * width, width), qkv_bias.narrow(0, 2 * width, width))
    q, k, v = of_heads(q, heads), of_heads(k, heads), of_heads(v, heads)
    y = torch.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    y = torch.linear(y, out_weight, out_bias)
    if not need_weights:
        return y, y
    weights = torch.softmax(torch.matmul(q, k.transpose(2, 3)) * (width // heads) ** -0.5, -1)
    return y, weights.mean(1) if average else weights

def encoder_layer(x, width: int, heads: int, qkv_weight, qkv_bias, out_weight, out_bias, gelu: bool, norm_first: bool,
                  epsilon: float, weight1, bias1, weight2, bias2, wide_weight, wide_bias, narrow_weight, narrow_bias,
                  mask: Optional[Tensor], mask_type: Optional[int]):
    h = torch.layer_norm(x, [width], weight1, bias1, epsilon) if norm_first else x
    x = x + multi_head_attention(h, h, h, width, heads, qkv_weight, qkv_bias, out_weight, out_bias, None, False, True,
                                 None)[0]
    if not norm_first:
        x = torch.layer_norm(x, [width], weight1, bias1, epsilon)
    h = torch.layer_norm(x, [width], weight2, bias2, epsilon) if norm_first else x
    h = torch.linear(h, wide_weight, wide_bias)
    h = torch.linear(torch.gelu(h) if gelu else torch.relu(h), narrow_weight, narrow_bias)
    return x + h if norm_first else torch.layer_norm(x + h, [width], weight2, bias2, epsilon)
)";

void spell_out(Node* node) {
  static const auto unit = torch::jit::compile(layers);
  const auto without_mask = [&] { return node->namedInput("mask")->mustBeNone(); };
  if (node->kind() == c10::Symbol::aten("_native_multi_head_attention")) {
    if (!without_mask()) return;
    if (!node->output(1)->hasUses()) {  // the weights, for which it is asked unless it is told not to
      constexpr std::size_t need_weights = 10;
      const torch::jit::WithInsertPoint here(node);
      node->replaceInput(need_weights, node->owningGraph()->insertConstant(false));
    }
    replace_by(node, *unit, "multi_head_attention");
  } else if (node->kind() == c10::Symbol::aten("_transformer_encoder_layer_fwd")) {
    if (without_mask()) replace_by(node, *unit, "encoder_layer");
  }
}

bool calls_something(const Block* block) {
  for (const Node* node : block->nodes()) {
    if (node->kind() == torch::jit::prim::CallMethod || node->kind() == torch::jit::prim::CallFunction) return true;
    for (const Block* inner : node->blocks()) {
      if (calls_something(inner)) return true;
    }
  }
  return false;
}

}  // namespace

void inline_calls(torch::jit::Graph& graph) {
  while (calls_something(graph.block())) torch::jit::Inline(graph);
}

std::shared_ptr<torch::jit::Graph> inlined_graph(const torch::jit::Module& module) {
  auto graph = module.get_method("forward").graph()->copy();
  inline_calls(*graph);
  return graph;
}

void for_each_node(Block* block, const std::function<void(Node*)>& act) {
  for (auto next = block->nodes().begin(); next != block->nodes().end();) {
    Node* node = *next++;  // which may be replaced
    for (Block* inner : node->blocks()) for_each_node(inner, act);
    act(node);
  }
}

void replace_by(Node* node, const torch::jit::CompilationUnit& unit, const std::string& function) {
  const torch::jit::WithInsertPoint here(node);
  const auto callee = toGraphFunction(unit.get_function(function)).graph()->copy();
  std::vector<Value*> results = torch::jit::insertGraph(*node->owningGraph(), *callee, node->inputs());
  if (node->outputs().size() > 1) {
    const auto parts = torch::jit::createTupleUnpack(results.at(0));
    results.assign(parts.begin(), parts.end());
  }
  for (std::size_t i = 0; i < node->outputs().size(); ++i) node->outputs()[i]->replaceAllUsesWith(results.at(i));
  node->destroy();
}

void spell_out_layers(const std::shared_ptr<torch::jit::Graph>& graph) {
  torch::jit::LowerSimpleTuples(graph);  // what nobody takes out of one is not used
  torch::jit::EliminateDeadCode(graph);
  for_each_node(graph->block(), spell_out);
}

}  // namespace onestep::engine
