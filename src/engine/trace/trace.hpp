#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "engine.hpp"

namespace onestep::engine {

/// What a value is computed from.
enum class Source {
  constant,   ///< Weights alone: already computed.
  condition,  ///< The noise level, target, label and guidance: the same for every sample that shares them.
  sample,     ///< x.
};

using ValueId = std::size_t;

struct Value {
  Source source = Source::constant;
  torch::Tensor constant = {};           ///< Undefined unless it is one.
  std::vector<std::int64_t> sizes = {};  ///< For one sample.
  torch::ScalarType type = torch::kFloat32;
  std::size_t uses = 0;  ///< By operations, and one for the result.
};

/// An argument of an operation: a tensor, a list of tensors, or anything else, which is constant.
using Argument = std::variant<ValueId, std::vector<ValueId>, torch::IValue>;

/// One call of a torch operator that computes something from the inputs.
struct Operation {
  std::string name;                             ///< Such as aten::silu.
  std::function<void(torch::jit::Stack&)> run;  ///< What libtorch does.
  std::vector<Argument> arguments;
  std::vector<ValueId> results;
  bool lists_results = false;  ///< The operator returns one list of tensors.
  bool is_view = false;        ///< The results lie in the memory of the only tensor that it takes.
};

/// A network as straight-line code for one sample: calls inlined, control flow followed, sizes and other numbers known,
/// what does not depend on the inputs computed.
struct Trace {
  std::vector<Value> values;
  std::vector<Operation> operations;
  std::vector<ValueId> inputs;  ///< x first.
  ValueId result = 0;
  torch::Tensor output = {};  ///< What the network returned.
};

/// Runs `module` on one sample and notes what it does. Throws NotCompiled where what it does depends on the values of
/// its inputs, where a tensor is written to in place while others look at it, or where it does very many small things.
Trace trace(const torch::jit::Module& module, const NetworkInput& one);

/// The tensors that an operation takes.
std::vector<ValueId> tensors_of(const Operation& operation);

/// Calls the operation; `tensor` gives the tensors among its arguments.
std::vector<torch::Tensor> call(const Operation& operation, const std::function<torch::Tensor(ValueId)>& tensor);

}  // namespace onestep::engine
