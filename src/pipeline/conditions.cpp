#include "conditions.hpp"

#include <algorithm>
#include <cmath>

#include "noise.hpp"
#include "onestep/tensor/device.hpp"
#include "require.hpp"
#include "shape_text.hpp"

namespace onestep {
namespace {

using torch::Tensor;
using Tokens = std::vector<std::int64_t>;

std::size_t length_of(const ConditionInfo& text) { return static_cast<std::size_t>(text.sizes[0].number); }

void require_tokens(const Tokens& tokens, std::size_t row, const ConditionInfo& text, const ModelInfo& info) {
  const std::size_t length = length_of(text);
  const std::string name = "tokens[" + std::to_string(row) + "]";
  if (tokens.size() > length || (tokens.size() < length && !text.pad)) {
    refuse(name + " has " + std::to_string(tokens.size()) + " numbers; " + info.name + " takes " +
           (text.pad ? "at most " : "") + std::to_string(length));
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto last = static_cast<std::int64_t>(text.high);
    if (tokens[i] < 0 || tokens[i] > last) {
      refuse(name + "[" + std::to_string(i) + "] = " + std::to_string(tokens[i]) + " must lie in [0, " +
             std::to_string(last) + "]: " + info.name + " has " + std::to_string(last + 1) + " tokens");
    }
  }
}

/// The rows' texts, each filled up to the model's length, and where they are text.
std::vector<Tensor> tokens_of(const std::vector<Tokens>& texts, const ConditionInfo& text) {
  const std::size_t length = length_of(text);
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(texts.size()), text.sizes[0].number};
  Tensor tokens = torch::full(shape, text.pad.value_or(0), torch::kInt64), mask = torch::zeros(shape, torch::kBool);
  for (std::size_t row = 0; row < texts.size(); ++row) {
    std::copy_n(texts[row].begin(), texts[row].size(), tokens.mutable_data_ptr<std::int64_t>() + row * length);
    std::fill_n(mask.mutable_data_ptr<bool>() + row * length, texts[row].size(), true);
  }
  return {tokens, mask};
}

/// What the text encoder makes of texts, on the CPU as all conditions are, under the names that the denoiser looks for.
std::map<std::string, Tensor> encoded(const Model& model, const std::vector<Tokens>& texts, const ConditionInfo& text) {
  const std::vector<Tensor> tokens = tokens_of(texts, text);
  NetworkInput input{on_device(tokens[0], model.device), {}};
  if (text.mask) input.conditions.push_back(tokens[1]);
  std::map<std::string, Tensor> values{{text.name, model.text_encoder->forward(input).to(torch::kCPU)}};
  if (text.mask) values[text.name + "_mask"] = tokens[1];
  return values;
}

std::map<std::string, std::int64_t> sizes_of(const Request& request, const ModelInfo& info) {
  std::map<std::string, std::int64_t> sizes = default_sizes(info.sample);
  for (const auto& [name, size] : request.sizes) sizes[name] = size;
  return sizes;
}

std::vector<std::int64_t> shape_for(const ConditionInfo& condition, const Request& request, const ModelInfo& info) {
  return shape_at(condition.sizes, sizes_of(request, info));
}

void require_label_map(const Request& request, const ModelInfo& info) {
  const ConditionInfo* label = find_condition(info, ConditionKind::label);
  if (!label || !label->map) refuse("label_map: " + info.name + " takes no map of labels");
  if (!request.labels.empty()) refuse("label_map stands in place of labels: give one of them");
  std::vector<std::int64_t> shape = shape_at(info.sample.sizes, sizes_of(request, info));
  shape.erase(shape.begin());
  if (request.label_map.size() != static_cast<std::size_t>(shape[0] * shape[1])) {
    refuse("label_map has " + std::to_string(request.label_map.size()) + " labels; it takes " +
           std::to_string(shape[0] * shape[1]) + ", " + shape_text(shape) + ", one for each pixel of the sample");
  }
  for (std::size_t i = 0; i < request.label_map.size(); ++i) {
    const std::int64_t found = request.label_map[i];
    if ((found < 0 || found >= info.label_count) && found != info.null_label) {
      refuse("label_map[" + std::to_string(i) + "] = " + std::to_string(found) + " must lie in [0, " +
             std::to_string(info.label_count - 1) + "]");
    }
  }
}

std::string names_of(const ModelInfo& info) {
  std::string names;
  for (const ConditionInfo& condition : info.conditions) names += (names.empty() ? "" : ", ") + condition.name;
  return names.empty() ? "none" : names;
}

}  // namespace

void require_conditions(const Request& request, const ModelInfo& info) {
  if (!request.label_map.empty()) require_label_map(request, info);
  for (const auto& [name, values] : request.conditions) {
    const auto found = std::find_if(info.conditions.begin(), info.conditions.end(),
                                    [&, &name = name](const ConditionInfo& c) { return c.name == name; });
    if (found == info.conditions.end())
      refuse("condition " + name + " is unknown; " + info.name + " has " + names_of(info));
    if (found->kind == ConditionKind::label) refuse("condition " + name + " is the label: ask for it by labels");
    if (found->kind == ConditionKind::tokens) refuse("condition " + name + " is text: give it as tokens");
    if (&*found == guidance_input(info)) refuse("condition guidance is asked for by guidance");
    const std::vector<std::int64_t> shape = shape_for(*found, request, info);
    std::size_t wanted = 1;
    for (const std::int64_t size : shape) wanted *= static_cast<std::size_t>(size);
    if (values.size() != wanted) {
      refuse("condition " + name + " has " + std::to_string(values.size()) + " values; it takes " +
             (shape.empty() ? "one number" : std::to_string(wanted) + ", " + shape_text(shape)));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) refuse("condition " + name + "[" + std::to_string(i) + "] must be finite");
    }
    if (found->kind == ConditionKind::scalar && !(values[0] >= found->low && values[0] <= found->high)) {
      refuse("condition " + name + " = " + std::to_string(values[0]) + " must lie in [" + std::to_string(found->low) +
             ", " + std::to_string(found->high) + "]");
    }
  }
  for (const ConditionInfo& condition : info.conditions) {
    const bool needed = condition.kind == ConditionKind::vector || condition.kind == ConditionKind::image;
    if (needed && !request.conditions.contains(condition.name))
      refuse(info.name + " needs the condition " + condition.name + "; give its values as conditions");
  }
  const ConditionInfo* text = find_condition(info, ConditionKind::tokens);
  if (!text && !request.tokens.empty()) refuse(info.name + " takes no tokens");
  if (text && request.tokens.empty() && text->null_tokens.empty())
    refuse(info.name + " needs tokens: the numbers of a text's tokens, one row a sample");
  for (std::size_t row = 0; text && row < request.tokens.size(); ++row)
    require_tokens(request.tokens[row], row, *text, info);
}

Rows rows_of(const Request& request, const ModelInfo& info, std::size_t first, std::size_t count) {
  const auto begin = request.seeds.begin() + static_cast<std::ptrdiff_t>(first);
  Rows rows{{begin, begin + static_cast<std::ptrdiff_t>(count)}, {}, first};
  for (std::size_t i = 0; i < count && info.label_count > 0 && request.label_map.empty(); ++i) {
    rows.labels.push_back(request.labels.empty() ? random_label(rows.seeds[i], info.label_count)
                                                 : request.labels[(first + i) % request.labels.size()]);
  }
  return rows;
}

Condition condition_of(const Model& model, const Request& request, const Rows& rows, double guidance) {
  const auto count = static_cast<std::int64_t>(rows.seeds.size());
  Condition condition;
  if (!rows.labels.empty()) condition.label = torch::tensor(rows.labels);
  if (!request.label_map.empty()) {
    const std::vector<std::int64_t> shape = shape_at(model.info.sample.sizes, sizes_of(request, model.info));
    condition.label = torch::tensor(request.label_map).reshape({1, shape[1], shape[2]}).repeat({count, 1, 1});
  }
  condition.guidance = guidance;
  for (const ConditionInfo& wanted : model.info.conditions) {
    const auto given = request.conditions.find(wanted.name);
    if (given == request.conditions.end()) continue;
    std::vector<std::int64_t> shape = shape_for(wanted, request, model.info);
    shape.insert(shape.begin(), 1);
    const Tensor values = torch::tensor(given->second).reshape(shape);
    shape[0] = count;
    condition.others[wanted.name] = values.expand(shape);
  }
  if (const ConditionInfo* text = find_condition(model.info, ConditionKind::tokens)) {
    std::vector<Tokens> texts;
    for (std::size_t i = 0; i < rows.seeds.size(); ++i) {
      texts.push_back(request.tokens.empty() ? text->null_tokens
                                             : request.tokens[(rows.first + i) % request.tokens.size()]);
    }
    condition.others.merge(encoded(model, texts, *text));
    if (calls_twice(model.info, guidance) && !text->null_tokens.empty())
      condition.null_others = encoded(model, std::vector<Tokens>(texts.size(), text->null_tokens), *text);
  }
  return condition;
}

}  // namespace onestep
