#pragma once

#include <optional>
#include <unordered_map>

#include "trace/trace.hpp"

namespace onestep::engine {

// The arguments of an operation, by their positions.

/// A tensor, if it is one.
std::optional<ValueId> tensor_at(const Operation& operation, std::size_t i);

/// A tensor that depends on x, if it is one.
std::optional<ValueId> sample_at(const Trace& trace, const Operation& operation, std::size_t i);

/// The same, if it is one image, [1, channels, pixels...], and not several, folded into the first dimension.
std::optional<ValueId> image_at(const Trace& trace, const Operation& operation, std::size_t i);

/// A constant tensor as float32, or an undefined one where the argument is None. Nothing: it is neither.
std::optional<torch::Tensor> weight_at(const Trace& trace, const Operation& operation, std::size_t i);

/// A number, or a constant tensor that holds one. Nothing: it is neither.
std::optional<double> number_at(const Trace& trace, const Operation& operation, std::size_t i);

/// What is not a tensor; null where there is no such argument, or it is one.
const torch::IValue* constant_at(const Operation& operation, std::size_t i);
/// The same; None where there is no such argument.
const torch::IValue& other_at(const Operation& operation, std::size_t i);

/// A dimension of `rank` many, which may be counted from the last.
std::size_t dimension_at(const Operation& operation, std::size_t i, std::size_t rank);

/// Integers, `count` of them where the argument is a single one. Empty: it is something else.
std::vector<std::int64_t> integers_at(const Operation& operation, std::size_t i, std::size_t count);

/// The factors among the arguments of a product, by the operator's name; none: it is no product, or one of a list.
std::vector<std::size_t> factors_of(const std::string& name);

/// The operations that compute the values of a trace.
using Producers = std::unordered_map<ValueId, const Operation*>;
Producers producers_of(const Trace& trace);

/// Null for an input, a constant, no value.
const Operation* producer(const Producers& producers, std::optional<ValueId> value);

}  // namespace onestep::engine
