#include "trace/arguments.hpp"

namespace onestep::engine {

using torch::IValue;

std::optional<ValueId> tensor_at(const Operation& operation, std::size_t i) {
  if (i >= operation.arguments.size()) return std::nullopt;
  const auto* value = std::get_if<ValueId>(&operation.arguments[i]);
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<ValueId> sample_at(const Trace& trace, const Operation& operation, std::size_t i) {
  const auto value = tensor_at(operation, i);
  return value && trace.values[*value].source == Source::sample ? value : std::nullopt;
}

std::optional<ValueId> image_at(const Trace& trace, const Operation& operation, std::size_t i) {
  const auto value = sample_at(trace, operation, i);
  if (!value) return std::nullopt;
  const auto& sizes = trace.values[*value].sizes;
  return sizes.size() >= 3 && sizes[0] == 1 ? value : std::nullopt;
}

std::optional<torch::Tensor> weight_at(const Trace& trace, const Operation& operation, std::size_t i) {
  const auto value = tensor_at(operation, i);
  if (!value) return other_at(operation, i).isNone() ? std::optional(torch::Tensor()) : std::nullopt;
  const Value& given = trace.values[*value];
  if (given.source != Source::constant) return std::nullopt;
  return given.constant.to(torch::kFloat32).contiguous();
}

std::optional<double> number_at(const Trace& trace, const Operation& operation, std::size_t i) {
  const auto value = tensor_at(operation, i);
  if (!value) {
    const IValue& number = other_at(operation, i);
    return number.isScalar() ? std::optional(number.toScalar().toDouble()) : std::nullopt;
  }
  const torch::Tensor& constant = trace.values[*value].constant;
  return constant.defined() && constant.numel() == 1 ? std::optional(constant.item<double>()) : std::nullopt;
}

const IValue* constant_at(const Operation& operation, std::size_t i) {
  return i < operation.arguments.size() ? std::get_if<IValue>(&operation.arguments[i]) : nullptr;
}

const IValue& other_at(const Operation& operation, std::size_t i) {
  static const IValue none;
  const IValue* other = constant_at(operation, i);
  return other ? *other : none;
}

std::size_t dimension_at(const Operation& operation, std::size_t i, std::size_t rank) {
  const std::int64_t dimension = other_at(operation, i).toInt();
  return static_cast<std::size_t>(dimension < 0 ? dimension + static_cast<std::int64_t>(rank) : dimension);
}

std::vector<std::int64_t> integers_at(const Operation& operation, std::size_t i, std::size_t count) {
  const IValue& value = other_at(operation, i);
  if (value.isInt()) return std::vector(count, value.toInt());
  if (!value.isIntList()) return {};
  auto list = value.toIntVector();
  if (list.size() == 1) list.resize(count, list[0]);
  return list;
}

std::vector<std::size_t> factors_of(const std::string& name) {
  static const std::map<std::string, std::vector<std::size_t>> factors{
      {"aten::_convolution", {0, 1, 2}},
      {"aten::convolution", {0, 1, 2}},
      {"aten::conv1d", {0, 1, 2}},
      {"aten::conv2d", {0, 1, 2}},
      {"aten::conv3d", {0, 1, 2}},
      {"aten::conv_transpose1d", {0, 1, 2}},
      {"aten::conv_transpose2d", {0, 1, 2}},
      {"aten::conv_transpose3d", {0, 1, 2}},
      {"aten::linear", {0, 1, 2}},
      {"aten::addmm", {0, 1, 2}},
      {"aten::baddbmm", {0, 1, 2}},
      {"aten::matmul", {0, 1}},
      {"aten::mm", {0, 1}},
      {"aten::bmm", {0, 1}},
      {"aten::scaled_dot_product_attention", {0, 1, 2}}};
  const auto found = factors.find(name);
  return found != factors.end() ? found->second : std::vector<std::size_t>{};
}

Producers producers_of(const Trace& trace) {
  Producers producers;
  for (const Operation& operation : trace.operations) {
    for (const ValueId result : operation.results) producers[result] = &operation;
  }
  return producers;
}

const Operation* producer(const Producers& producers, std::optional<ValueId> value) {
  const auto found = value ? producers.find(*value) : producers.end();
  return found != producers.end() ? found->second : nullptr;
}

}  // namespace onestep::engine
