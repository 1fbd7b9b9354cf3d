#include "spellings.hpp"

#include <optional>
#include <unordered_map>

#include "arguments.hpp"

namespace onestep::engine {
namespace {

using kernels::Floor;
using torch::Tensor;

/// The operations that compute the values.
using Producers = std::unordered_map<ValueId, const Operation*>;

const Operation* producer(const Producers& producers, std::optional<ValueId> value) {
  const auto found = value ? producers.find(*value) : producers.end();
  return found != producers.end() ? found->second : nullptr;
}

/// x * sigmoid(x)
void join_silu(const Producers& producers, Operation& operation) {
  if (operation.name != "aten::mul") return;
  const auto a = tensor_at(operation, 0), b = tensor_at(operation, 1);
  if (!a || !b) return;
  for (const auto& [x, gate] : {std::pair(*a, *b), std::pair(*b, *a)}) {
    const Operation* sigmoid = producer(producers, gate);
    if (!sigmoid || sigmoid->name != "aten::sigmoid" || tensor_at(*sigmoid, 0) != x) continue;
    operation.name = "aten::silu";
    operation.arguments = {x};
    operation.run = [](torch::jit::Stack& stack) { stack = {torch::silu(stack.at(0).toTensor())}; };
    return;
  }
}

std::optional<double> number_at(const Trace& trace, const Operation& operation, std::size_t i) {
  const auto value = tensor_at(operation, i);
  if (!value) {
    const torch::IValue& number = other_at(operation, i);
    return number.isScalar() ? std::optional(number.toScalar().toDouble()) : std::nullopt;
  }
  const Tensor& constant = trace.values[*value].constant;
  return constant.defined() && constant.numel() == 1 ? std::optional(constant.item<double>()) : std::nullopt;
}

/// Takes the operation that makes a divisor of a norm into `division`, and says which argument the norm is.
std::optional<std::size_t> find_floor(const Trace& trace, const Operation& operation, NormDivision& division) {
  if (operation.name == "aten::clamp_min" || operation.name == "aten::clamp") {
    const auto least = number_at(trace, operation, 1);
    if (!least || !other_at(operation, 2).isNone()) return std::nullopt;
    division = {0, 1, *least, Floor::least};
    return 0;
  }
  if (operation.name != "aten::add") return std::nullopt;
  const auto alpha = number_at(trace, operation, 2);
  const auto first = number_at(trace, operation, 0), second = number_at(trace, operation, 1);
  if (!alpha || first.has_value() == second.has_value()) return std::nullopt;
  division = first ? NormDivision{0, *alpha, *first, Floor::sum} : NormDivision{0, 1, *alpha * *second, Floor::sum};
  return first ? 1 : 0;
}

/// The dimension of which the operation takes the Euclidean norm, and keeps it as one of size 1.
std::optional<std::size_t> norm_dimension(const Trace& trace, const Operation& operation) {
  if (operation.name != "aten::linalg_vector_norm" && operation.name != "aten::norm") return std::nullopt;
  const auto order = number_at(trace, operation, 1);
  const auto dimensions = integers_at(operation, 2, 1);
  const torch::IValue& keeps = other_at(operation, 3);
  if (order != 2 || dimensions.size() != 1 || !keeps.isBool() || !keeps.toBool()) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(trace.values[operation.results[0]].sizes.size());
  return static_cast<std::size_t>(dimensions[0] < 0 ? dimensions[0] + rank : dimensions[0]);
}

/// x / (epsilon + scale * norm(x)), x / max(norm(x), epsilon)
void join_norm_division(const Trace& trace, const Producers& producers, Operation& operation) {
  if (operation.name != "aten::div" || operation.arguments.size() != 2) return;
  const auto x = sample_at(trace, operation, 0);
  const Operation* from = producer(producers, tensor_at(operation, 1));
  if (!x || !from) return;
  if (from->name == "aten::expand_as") from = producer(producers, tensor_at(*from, 0));
  NormDivision division;
  if (from && from->name != "aten::linalg_vector_norm" && from->name != "aten::norm") {
    const auto norm_at = find_floor(trace, *from, division);
    from = norm_at ? producer(producers, tensor_at(*from, *norm_at)) : nullptr;
  }
  if (!from || tensor_at(*from, 0) != *x || !(division.scale > 0)) return;
  const auto dimension = norm_dimension(trace, *from);
  if (!dimension) return;
  operation.name = over_norm;
  operation.arguments = {*x, torch::IValue(static_cast<std::int64_t>(*dimension)), torch::IValue(division.scale),
                         torch::IValue(division.epsilon), torch::IValue(static_cast<std::int64_t>(division.floor))};
  operation.run = [](torch::jit::Stack& stack) {
    const Tensor x = stack.at(0).toTensor();
    const Tensor norm = torch::linalg_vector_norm(x, 2, stack.at(1).toInt(), true) * stack.at(2).toDouble();
    const double epsilon = stack.at(3).toDouble();
    const bool least = static_cast<Floor>(stack.at(4).toInt()) == Floor::least;
    stack = {x / (least ? norm.clamp_min(epsilon) : norm + epsilon)};
  };
}

}  // namespace

void join_spelled(Trace& trace) {
  Producers producers;
  for (Operation& operation : trace.operations) {
    join_silu(producers, operation);
    join_norm_division(trace, producers, operation);
    for (const ValueId result : operation.results) producers[result] = &operation;
  }
}

NormDivision norm_division(const Operation& over_norm) {
  return {static_cast<std::size_t>(other_at(over_norm, 1).toInt()), other_at(over_norm, 2).toDouble(),
          other_at(over_norm, 3).toDouble(), static_cast<Floor>(other_at(over_norm, 4).toInt())};
}

}  // namespace onestep::engine
