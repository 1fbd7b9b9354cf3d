#include "gpu/exact_convolutions.hpp"

#include <torch/jit.h>
#include <torch/script.h>

#include <map>
#include <string>

#include "trace/script.hpp"

namespace onestep::engine {
namespace {

using torch::jit::Node;

/// TorchScript: the convolutions of libtorch, all by way of the one that takes whether TF32 is allowed, its last
/// argument.
constexpr const char* source = R"(
def convolution(x, weight, bias: Optional[Tensor], stride: List[int], padding: List[int], dilation: List[int],
                transposed: bool, output_padding: List[int], groups: int):
    alone = x.dim() < weight.dim()  # a sample without a batch
    if alone:
        x = x.unsqueeze(0)
    y = torch._convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups,
                           False, False, True, False)
    return y.squeeze(0) if alone else y

def padded_by_number(x, weight, bias: Optional[Tensor], stride: List[int], padding: List[int], dilation: List[int],
                     groups: int):
    return convolution(x, weight, bias, stride, padding, dilation, False, [0], groups)

def padded_by_name(x, weight, bias: Optional[Tensor], stride: List[int], padding: str, dilation: List[int],
                   groups: int):
    before: List[int] = []
    behind: List[int] = []  # what is more there, the last dimension first
    for i in range(weight.dim() - 2):
        both = dilation[i] * (weight.size(i + 2) - 1) if padding == "same" else 0
        before.append(both // 2)
        behind = [0, both % 2] + behind
    if max(behind) > 0:
        x = torch.constant_pad_nd(x, behind)
    return convolution(x, weight, bias, stride, before, dilation, False, [0], groups)

def transposed(x, weight, bias: Optional[Tensor], stride: List[int], padding: List[int], output_padding: List[int],
               groups: int, dilation: List[int]):
    return convolution(x, weight, bias, stride, padding, dilation, True, output_padding, groups)
)";

/// The function of `source` that does what the node does; none if it is no convolution.
std::string function_for(const Node* node) {
  static const std::map<std::string, std::string> functions{
      {"aten::convolution", "convolution"},     {"aten::_convolution_mode", "padded_by_name"},
      {"aten::conv1d", "padded_by_number"},     {"aten::conv2d", "padded_by_number"},
      {"aten::conv3d", "padded_by_number"},     {"aten::conv_transpose1d", "transposed"},
      {"aten::conv_transpose2d", "transposed"}, {"aten::conv_transpose3d", "transposed"}};
  const auto found = functions.find(node->kind().toQualString());
  if (found == functions.end()) return {};
  constexpr std::size_t padding = 4;
  if (found->second == "padded_by_number" && node->input(padding)->type()->kind() == c10::TypeKind::StringType)
    return "padded_by_name";
  return found->second;
}

}  // namespace

void convolve_exactly(Node* node) {
  if (node->kind() == c10::Symbol::aten("_convolution")) {
    constexpr std::size_t tf32 = 12;  // the last argument, which older files do not have
    if (node->inputs().size() > tf32) node->removeInput(tf32);
    const torch::jit::WithInsertPoint here(node);
    node->addInput(node->owningGraph()->insertConstant(false));
    return;
  }
  const std::string name = function_for(node);
  if (name.empty()) return;
  static const auto exact = torch::jit::compile(source);
  replace_by(node, *exact, name);
}

}  // namespace onestep::engine
