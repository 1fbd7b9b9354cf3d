#include "trace/sample_product.hpp"

#include <algorithm>

#include "trace/arguments.hpp"

namespace onestep::engine {

std::size_t position(const std::vector<int>& labels, int label) {
  return static_cast<std::size_t>(std::find(labels.begin(), labels.end(), label) - labels.begin());
}

bool contains(const std::vector<int>& labels, int label) { return position(labels, label) < labels.size(); }

bool depend_on_x(const Trace& trace, std::initializer_list<ValueId> values) {
  bool depend = false;
  for (const ValueId value : values) {
    if (trace.values[value].type != trace.values[*values.begin()].type) return false;
    depend |= trace.values[value].source == Source::sample;
  }
  return depend;
}

std::optional<SampleProduct> as_sample_product(const Trace& trace, const Operation& operation) {
  SampleProduct product;
  if (operation.name == "aten::einsum") {
    const auto* equation = constant_at(operation, 0);
    const auto* operands =
        operation.arguments.size() > 1 ? std::get_if<std::vector<ValueId>>(&operation.arguments[1]) : nullptr;
    if (!equation || !equation->isString() || !operands || operands->size() != 2) return std::nullopt;
    std::vector<int>* part = &product.a;
    bool names_result = false;
    const std::string text = equation->toStringRef();
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char letter = text[i];
      if (letter == ' ') continue;
      if (letter == ',') {
        part = &product.b;
      } else if (letter == '-' && i + 1 < text.size() && text[i + 1] == '>') {
        part = &product.result;
        names_result = true;
        ++i;
      } else if (std::isalpha(static_cast<unsigned char>(letter)) && !contains(*part, letter)) {
        part->push_back(letter);
      } else {
        return std::nullopt;
      }
    }
    if (!names_result) return std::nullopt;
    product.a_value = (*operands)[0];
    product.b_value = (*operands)[1];
  } else if (operation.name == "aten::matmul" || operation.name == "aten::bmm" || operation.name == "aten::baddbmm") {
    const std::size_t first = operation.name == "aten::baddbmm" ? 1 : 0;
    const auto a = tensor_at(operation, first), b = tensor_at(operation, first + 1);
    if (!a || !b) return std::nullopt;
    if (first == 1) {
      const auto *beta = constant_at(operation, 3), *alpha = constant_at(operation, 4);
      if (!beta || !alpha || beta->toScalar().toDouble() != 0) return std::nullopt;
      product.scale = alpha->toScalar().toDouble();
    }
    const auto rank = static_cast<int>(trace.values[*a].sizes.size());
    if (rank < 3 || trace.values[*b].sizes.size() != trace.values[*a].sizes.size()) return std::nullopt;
    for (int i = 0; i < rank - 2; ++i) product.a.push_back(i);
    product.b = product.result = product.a;
    const int m = rank, n = rank + 1, k = rank + 2;
    product.a.insert(product.a.end(), {m, k});
    product.b.insert(product.b.end(), {k, n});
    product.result.insert(product.result.end(), {m, n});
    product.a_value = *a;
    product.b_value = *b;
  } else {
    return std::nullopt;
  }
  if (!depend_on_x(trace, {product.a_value, product.b_value})) return std::nullopt;
  const auto &a = trace.values[product.a_value].sizes, &b = trace.values[product.b_value].sizes;
  if (product.a.size() != a.size() || product.b.size() != b.size()) return std::nullopt;
  for (std::size_t i = 0; i < a.size(); ++i) {  // nothing is broadcast
    for (std::size_t k = 0; k < b.size(); ++k) {
      if (product.a[i] == product.b[k] && a[i] != b[k]) return std::nullopt;
    }
  }
  return product;
}

}  // namespace onestep::engine
