#include "trace/attention_pattern.hpp"

#include <algorithm>
#include <cmath>

#include "trace/arguments.hpp"

namespace onestep::engine {
namespace {

class Finder {
 public:
  explicit Finder(const Trace& trace) : trace_(trace) {
    for (std::size_t i = 0; i < trace.operations.size(); ++i) {
      for (const ValueId result : trace.operations[i].results) maker_[result] = i;
      for (const Argument& argument : trace.operations[i].arguments) {
        if (const auto* value = std::get_if<ValueId>(&argument)) users_[*value].push_back(i);
        if (const auto* list = std::get_if<std::vector<ValueId>>(&argument)) {
          for (const ValueId value : *list) users_[value].push_back(i);
        }
      }
    }
  }

  std::map<std::size_t, AttentionPattern> run() {
    std::map<std::size_t, AttentionPattern> found;
    for (std::size_t i = 0; i < trace_.operations.size(); ++i) {
      const std::string& name = trace_.operations[i].name;
      inside_.clear();
      if (name == "aten::scaled_dot_product_attention") {
        if (const auto pattern = fused(trace_.operations[i])) found.emplace(i, *pattern);
      } else if (name == "aten::softmax" || name == "aten::_softmax") {
        if (auto ending = around(i)) {
          ending->second.inside = inside_;
          found.insert(std::move(*ending));
        }
      }
    }
    return found;
  }

 private:
  std::optional<AttentionPattern> fused(const Operation& operation) const {
    const auto q = tensor_at(operation, 0), k = tensor_at(operation, 1), v = tensor_at(operation, 2);
    const auto *mask = constant_at(operation, 3), *dropout = constant_at(operation, 4),
               *causal = constant_at(operation, 5);
    if (!q || !k || !v || !mask || !mask->isNone() || !dropout || dropout->toDouble() != 0 || !causal ||
        causal->toBool()) {
      return std::nullopt;
    }
    if (!depend_on_x(trace_, {*q, *k, *v})) return std::nullopt;
    const auto& sizes = trace_.values[*q].sizes;
    AttentionPattern pattern;
    for (const ValueId value : {*q, *k, *v}) {
      const Value& part = trace_.values[value];
      if (part.sizes.size() != sizes.size() || sizes.size() < 3) return std::nullopt;
      for (std::size_t i = 0; i + 2 < sizes.size(); ++i) {
        if (part.sizes[i] != sizes[i]) return std::nullopt;
      }
    }
    for (int i = 0; i + 2 < static_cast<int>(sizes.size()); ++i) pattern.heads.push_back(i);
    pattern.token = 100, pattern.other = 101, pattern.depth = 102, pattern.column = 103;
    const auto part = [&](ValueId value, int row, int column) {
      AttentionPattern::Part result{value, pattern.heads};
      result.labels.insert(result.labels.end(), {row, column});
      return result;
    };
    pattern.q = part(*q, pattern.token, pattern.depth);
    pattern.k = part(*k, pattern.other, pattern.depth);
    pattern.v = part(*v, pattern.other, pattern.column);
    pattern.output = part(operation.results[0], pattern.token, pattern.column);
    const auto* scale = constant_at(operation, 6);
    pattern.scale =
        scale && !scale->isNone() ? scale->toScalar().toDouble() : 1 / std::sqrt(static_cast<double>(sizes.back()));
    return pattern;
  }

  /// The pattern around a softmax, and the operation that ends it.
  std::optional<std::pair<std::size_t, AttentionPattern>> around(std::size_t softmax) {
    const Operation& operation = trace_.operations[softmax];
    const auto scores = tensor_at(operation, 0);
    const auto* dimension = constant_at(operation, 1);
    if (!scores || !dimension || !dimension->isInt()) return std::nullopt;
    inside_.push_back(softmax);

    AttentionPattern pattern;
    ValueId value = *scores;
    take_scale(value, pattern.scale);
    if (trace_.values[value].uses != 1 || !maker_.contains(value)) return std::nullopt;
    inside_.push_back(maker_.at(value));
    const auto product = as_sample_product(trace_, trace_.operations[maker_.at(value)]);
    if (!product) return std::nullopt;
    pattern.scale *= product->scale;

    std::vector<int> labels = product->result;
    pattern.other = labels.at(dimension_at(operation, 1, labels.size()));
    const bool a_is_key = contains(product->a, pattern.other);
    if (a_is_key && contains(product->b, pattern.other)) return std::nullopt;
    pattern.q = a_is_key ? AttentionPattern::Part{product->b_value, product->b}
                         : AttentionPattern::Part{product->a_value, product->a};
    pattern.k = a_is_key ? AttentionPattern::Part{product->a_value, product->a}
                         : AttentionPattern::Part{product->b_value, product->b};
    for (AttentionPattern::Part* part : {&pattern.q, &pattern.k}) take_scale(part->value, pattern.scale);
    int tokens = 0, depths = 0;
    for (const int label : pattern.q.labels) {
      const bool in_key = contains(pattern.k.labels, label), in_result = contains(labels, label);
      if (in_key && in_result) pattern.heads.push_back(label);
      if (in_key && !in_result) pattern.depth = label, ++depths;
      if (!in_key && in_result) pattern.token = label, ++tokens;
      if (!in_key && !in_result) return std::nullopt;
    }
    if (tokens != 1 || depths != 1 || pattern.k.labels.size() != pattern.heads.size() + 2) return std::nullopt;

    // On through transpositions to the product with the values.
    value = operation.results[0];
    while (true) {
      if (trace_.values[value].uses != 1 || !users_.contains(value)) return std::nullopt;
      const std::size_t at = users_.at(value).front();
      const Operation& user = trace_.operations[at];
      if (const auto last = as_sample_product(trace_, user)) {
        if (!finish(*last, value, labels, user, pattern)) return std::nullopt;
        return std::pair(at, pattern);
      }
      if (!permute(user, labels)) return std::nullopt;
      inside_.push_back(at);
      value = user.results[0];
    }
  }

  /// Goes back from a value to what it is a multiple of.
  void take_scale(ValueId& value, double& scale) {
    while (trace_.values[value].uses == 1 && maker_.contains(value)) {
      const std::size_t at = maker_.at(value);
      const auto factor = scale_of(trace_.operations[at]);
      if (!factor || trace_.values[*tensor_at(trace_.operations[at], 0)].sizes != trace_.values[value].sizes) return;
      inside_.push_back(at);
      scale *= *factor;
      value = *tensor_at(trace_.operations[at], 0);
    }
  }

  /// The number by which the operation multiplies its first argument.
  std::optional<double> scale_of(const Operation& operation) const {
    if (operation.name != "aten::mul" && operation.name != "aten::div") return std::nullopt;
    if (operation.arguments.size() != 2 || !tensor_at(operation, 0)) return std::nullopt;
    const auto factor = number_at(trace_, operation, 1);
    return factor && operation.name == "aten::div" ? 1 / *factor : factor;
  }

  static bool permute(const Operation& operation, std::vector<int>& labels) {
    const auto size = static_cast<std::int64_t>(labels.size());
    if (operation.name == "aten::transpose") {
      std::swap(labels[dimension_at(operation, 1, labels.size())], labels[dimension_at(operation, 2, labels.size())]);
      return true;
    }
    if (operation.name == "aten::permute") {
      const std::vector<int> before = labels;
      const auto order = constant_at(operation, 1)->toIntVector();
      for (std::size_t i = 0; i < labels.size(); ++i)
        labels[i] = before[static_cast<std::size_t>((order[i] + size) % size)];
      return true;
    }
    return false;
  }

  /// Takes the second product's labels over into the pattern's; `weights` has `labels`.
  bool finish(const SampleProduct& last, ValueId weights, const std::vector<int>& labels, const Operation& operation,
              AttentionPattern& pattern) const {
    if (last.a_value == last.b_value || last.scale != 1) return false;
    const bool a_is_weights = last.a_value == weights;
    const std::vector<int>& own = a_is_weights ? last.a : last.b;
    std::vector<int> values = a_is_weights ? last.b : last.a, result = last.result;
    std::map<int, int> names;
    for (std::size_t i = 0; i < own.size(); ++i) names[own[i]] = labels[i];
    constexpr int column = 1000;  // no other label
    const auto rename = [&](std::vector<int>& of) {
      for (int& label : of) label = names.contains(label) ? names.at(label) : column;
    };
    rename(values);
    rename(result);
    pattern.column = column;
    pattern.v = {a_is_weights ? last.b_value : last.a_value, values};
    pattern.output = {operation.results[0], result};
    const auto is = [&](std::vector<int> given, std::initializer_list<int> further) {
      std::vector<int> wanted = pattern.heads;
      wanted.insert(wanted.end(), further);
      std::sort(given.begin(), given.end());
      std::sort(wanted.begin(), wanted.end());
      return given == wanted;
    };
    return is(values, {pattern.other, column}) && is(result, {pattern.token, column});
  }

  const Trace& trace_;
  std::map<ValueId, std::size_t> maker_;
  std::map<ValueId, std::vector<std::size_t>> users_;
  std::vector<std::size_t> inside_;
};

}  // namespace

std::map<std::size_t, AttentionPattern> find_attention(const Trace& trace) { return Finder(trace).run(); }

}  // namespace onestep::engine
