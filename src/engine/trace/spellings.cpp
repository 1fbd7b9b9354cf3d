#include "trace/spellings.hpp"

#include <cmath>
#include <optional>

#include "trace/arguments.hpp"

namespace onestep::engine {
namespace {

using kernels::Floor;
using torch::Tensor;

/// x * sigmoid(x), x * tanh(softplus(x))
void join_gate(const Trace& trace, const Producers& producers, Operation& operation) {
  if (operation.name != "aten::mul") return;
  const auto a = tensor_at(operation, 0), b = tensor_at(operation, 1);
  if (!a || !b) return;
  for (const auto& [x, gate] : {std::pair(*a, *b), std::pair(*b, *a)}) {
    const Operation* from = producer(producers, gate);
    const bool is_mish = from && from->name == "aten::tanh";
    if (is_mish) from = producer(producers, tensor_at(*from, 0));
    if (!from || tensor_at(*from, 0) != x) continue;
    if (is_mish && from->name == "aten::softplus" && number_at(trace, *from, 1) == 1.0 &&
        number_at(trace, *from, 2) == 20.0) {
      operation.name = "aten::mish";
      operation.run = [](torch::jit::Stack& stack) { stack = {torch::mish(stack.at(0).toTensor())}; };
    } else if (!is_mish && from->name == "aten::sigmoid") {
      operation.name = "aten::silu";
      operation.run = [](torch::jit::Stack& stack) { stack = {torch::silu(stack.at(0).toTensor())}; };
    } else {
      continue;
    }
    operation.arguments = {x};
    return;
  }
}

/// The dimension that the operation sums over, argument `at`, if it keeps it as one of size 1.
std::optional<std::size_t> kept_dimension(const Trace& trace, const Operation& operation, std::size_t at) {
  const auto dimensions = integers_at(operation, at, 1);
  const torch::IValue& keeps = other_at(operation, at + 1);
  if (dimensions.size() != 1 || !keeps.isBool() || !keeps.toBool()) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(trace.values[operation.results[0]].sizes.size());
  return static_cast<std::size_t>(dimensions[0] < 0 ? dimensions[0] + rank : dimensions[0]);
}

bool is_square_of(const Trace& trace, const Operation* operation, ValueId x) {
  if (!operation || tensor_at(*operation, 0) != x) return false;
  return operation->name == "aten::square" ||
         (operation->name == "aten::pow" && number_at(trace, *operation, 1) == 2.0) ||
         (operation->name == "aten::mul" && tensor_at(*operation, 1) == x);
}

/// What operations before make of x, as a norm: |x|, epsilon + scale * |x|, max(|x|, epsilon), or
/// sqrt(mean(x^2) + epsilon), whose square `from` computes if it is `squared`.
std::optional<NormDivision> find_norm(const Trace& trace, const Producers& producers, const Operation* from, ValueId x,
                                      bool squared) {
  if (!from) return std::nullopt;
  NormDivision division{.floor = squared ? Floor::variance : Floor::sum};
  const auto before = [&](std::size_t i) { return producer(producers, tensor_at(*from, i)); };
  if (from->name == "aten::add") {
    const auto alpha = number_at(trace, *from, 2);
    const auto first = number_at(trace, *from, 0), second = number_at(trace, *from, 1);
    if (!alpha || first.has_value() == second.has_value()) return std::nullopt;
    division.scale = first ? *alpha : 1;
    division.epsilon = first ? *first : *alpha * *second;
    from = before(first ? 1 : 0);
  } else if (!squared && (from->name == "aten::clamp_min" || from->name == "aten::clamp")) {
    const auto least = number_at(trace, *from, 1);
    if (!least || !other_at(*from, 2).isNone()) return std::nullopt;
    division.epsilon = *least;
    division.floor = Floor::least;
    from = before(0);
  }
  if (!from || !(division.scale > 0)) return std::nullopt;
  std::optional<std::size_t> dimension;
  if (squared) {
    if (from->name != "aten::mean" || division.scale != 1 || !is_square_of(trace, before(0), x)) return std::nullopt;
    dimension = kept_dimension(trace, *from, 1);
    if (dimension) division.scale = 1 / std::sqrt(static_cast<double>(trace.values[x].sizes.at(*dimension)));
  } else {
    const bool is_norm = from->name == "aten::linalg_vector_norm" || from->name == "aten::norm";
    if (!is_norm || tensor_at(*from, 0) != x || number_at(trace, *from, 1) != 2.0) return std::nullopt;
    dimension = kept_dimension(trace, *from, 2);
  }
  if (!dimension) return std::nullopt;
  division.dimension = *dimension;
  return division;
}

void divide_by_norm(torch::jit::Stack& stack) {
  const Tensor x = stack.at(0).toTensor();
  const double scale = stack.at(2).toDouble(), epsilon = stack.at(3).toDouble();
  const auto type = torch::promote_types(x.scalar_type(), torch::kFloat32);
  Tensor norm = torch::linalg_vector_norm(x, 2, stack.at(1).toInt(), true, type) * scale;
  switch (static_cast<Floor>(stack.at(4).toInt())) {
    case Floor::variance:
      norm = (norm.square() + epsilon).sqrt();
      break;
    case Floor::sum:
      norm = norm + epsilon;
      break;
    case Floor::least:
      norm = norm.clamp_min(epsilon);
  }
  stack = {(x / norm).to(x.scalar_type())};
}

/// x / norm, x / sqrt(square), x * rsqrt(square)
void join_norm_division(const Trace& trace, const Producers& producers, Operation& operation) {
  const bool divides = operation.name == "aten::div" && operation.arguments.size() == 2;
  if (!divides && operation.name != "aten::mul") return;
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}}) {
    const auto x = sample_at(trace, operation, at);
    const Operation* from = producer(producers, tensor_at(operation, 1 - at));
    if (from && from->name == "aten::expand_as") from = producer(producers, tensor_at(*from, 0));
    if (!x || !from || (divides && at == 1)) continue;
    const bool squared = from->name == (divides ? "aten::sqrt" : "aten::rsqrt");
    if (squared) from = producer(producers, tensor_at(*from, 0));
    if (!squared && !divides) continue;
    const auto division = find_norm(trace, producers, from, *x, squared);
    if (!division) continue;
    operation.name = over_norm;
    operation.arguments = {*x, torch::IValue(static_cast<std::int64_t>(division->dimension)),
                           torch::IValue(division->scale), torch::IValue(division->epsilon),
                           torch::IValue(static_cast<std::int64_t>(division->floor))};
    operation.run = divide_by_norm;
    return;
  }
}

}  // namespace

void join_spelled(Trace& trace) {
  const Producers producers = producers_of(trace);
  for (Operation& operation : trace.operations) {
    join_gate(trace, producers, operation);
    join_norm_division(trace, producers, operation);
  }
}

NormDivision norm_division(const Operation& over_norm) {
  return {static_cast<std::size_t>(other_at(over_norm, 1).toInt()), other_at(over_norm, 2).toDouble(),
          other_at(over_norm, 3).toDouble(), static_cast<Floor>(other_at(over_norm, 4).toInt())};
}

}  // namespace onestep::engine
