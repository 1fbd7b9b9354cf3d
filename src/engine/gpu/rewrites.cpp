#include "gpu/rewrites.hpp"

#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <set>

#include "trace/arguments.hpp"
#include "trace/attention_pattern.hpp"

namespace onestep::engine {
namespace {

using torch::IValue;
using torch::Tensor;
using torch::jit::Stack;

constexpr const char* attention = "aten::scaled_dot_product_attention";
constexpr const char* group_norm = "aten::group_norm";

/// The order in which the dimensions labelled `from` stand in `to`.
std::vector<std::int64_t> order_of(const std::vector<int>& from, const std::vector<int>& to) {
  std::vector<std::int64_t> order;
  for (const int label : to) order.push_back(static_cast<std::int64_t>(position(from, label)));
  return order;
}

/// q, k, v as the pattern has them -> its output. The kernels take [samples, heads, tokens, depth], the depth
/// side by side.
void attend(const AttentionPattern& pattern, Stack& stack) {
  const auto sorted = [&](const AttentionPattern::Part& part, const Tensor& tensor, int row, int column) {
    std::vector<int> to = pattern.heads;
    to.insert(to.end(), {row, column});
    Tensor result = tensor.permute(order_of(part.labels, to));
    while (result.dim() < 4) result = result.unsqueeze(0);
    if (result.dim() > 4) result = result.flatten(0, result.dim() - 4);
    return result.stride(-1) == 1 ? result : result.contiguous();
  };
  const Tensor q = stack.at(0).toTensor();
  const Tensor output =
      torch::scaled_dot_product_attention(sorted(pattern.q, q, pattern.token, pattern.depth),
                                          sorted(pattern.k, stack.at(1).toTensor(), pattern.other, pattern.depth),
                                          sorted(pattern.v, stack.at(2).toTensor(), pattern.other, pattern.column),
                                          /*attn_mask=*/{}, /*dropout_p=*/0, /*is_causal=*/false, pattern.scale);
  std::vector<int> labels = pattern.heads;
  std::vector<std::int64_t> sizes;
  for (const int label : labels) sizes.push_back(q.sizes()[pattern.q.position(label)]);
  labels.insert(labels.end(), {pattern.token, pattern.column});
  sizes.insert(sizes.end(), {output.size(-2), output.size(-1)});
  stack = {output.reshape(sizes).permute(order_of(labels, pattern.output.labels))};
}

/// A scale or a shift of the conditions, a number for each channel of every sample.
bool is_by_channel(const Value& value, const std::vector<std::int64_t>& image) {
  if (value.source != Source::condition || value.type != torch::kFloat32) return false;
  const auto& sizes = value.sizes;
  return sizes.size() == image.size() && (sizes[0] == 1 || sizes[0] == image[0]) && sizes[1] == image[1] &&
         std::all_of(sizes.begin() + 2, sizes.end(), [](std::int64_t size) { return size == 1; });
}

/// A group normalization and what follows it.
struct ScaledNormalization {
  const Operation* normalization = nullptr;
  ValueId scale = 0, shift = 0;
};

class ScaleFinder {
 public:
  explicit ScaleFinder(const Trace& trace) : trace_(trace), producers_(producers_of(trace)) {}

  std::optional<ScaledNormalization> find(const Operation& last) const {
    if (last.name == "aten::addcmul" && number_at(trace_, last, 3) == 1.0) {
      const auto shift = tensor_at(last, 0), a = tensor_at(last, 1), b = tensor_at(last, 2);
      return shift && a && b ? scaled(*a, *b, *shift) : std::nullopt;
    }
    if (last.name != "aten::add" || number_at(trace_, last, 2) != 1.0) return std::nullopt;
    const auto a = tensor_at(last, 0), b = tensor_at(last, 1);
    if (!a || !b) return std::nullopt;
    for (const auto& [product, shift] : {std::pair(*a, *b), std::pair(*b, *a)}) {
      const Operation* multiplication = maker(product, "aten::mul");
      if (!multiplication) continue;
      const auto first = tensor_at(*multiplication, 0), second = tensor_at(*multiplication, 1);
      if (first && second) {
        if (const auto found = scaled(*first, *second, shift)) return found;
      }
    }
    return std::nullopt;
  }

 private:
  /// What computes the value, if nothing else looks at it.
  const Operation* maker(ValueId value, const char* name) const {
    const Operation* made = producer(producers_, value);
    return made && made->name == name && trace_.values[value].uses == 1 ? made : nullptr;
  }

  std::optional<ScaledNormalization> scaled(ValueId a, ValueId b, ValueId shift) const {
    for (const auto& [normalized, scale] : {std::pair(a, b), std::pair(b, a)}) {
      const Operation* normalization = maker(normalized, group_norm);
      if (!normalization || trace_.values[normalized].source != Source::sample) continue;
      const auto& sizes = trace_.values[normalized].sizes;
      if (is_by_channel(trace_.values[scale], sizes) && is_by_channel(trace_.values[shift], sizes))
        return ScaledNormalization{normalization, scale, shift};
    }
    return std::nullopt;
  }

  const Trace& trace_;
  Producers producers_;
};

ValueId add_value(Trace& trace, Value value) {
  trace.values.push_back(std::move(value));
  return trace.values.size() - 1;
}

/// Operators that libtorch has for float32 and more alone, or for arguments of one type.
bool takes_float32(const std::string& name) {
  static const std::set<std::string> names{"aten::lerp", "aten::view_as_complex", "aten::complex", "aten::polar"};
  return names.contains(name) || name.starts_with("aten::fft_");
}

bool repeats_pixels(const std::string& name) {
  return name.starts_with("aten::upsample_nearest") || name.starts_with("aten::_upsample_nearest_exact");
}

at::MemoryFormat channels_last(std::int64_t dimensions) {
  return dimensions == 4   ? at::MemoryFormat::ChannelsLast
         : dimensions == 5 ? at::MemoryFormat::ChannelsLast3d
                           : at::MemoryFormat::Contiguous;
}

bool is_of(const IValue& value, torch::ScalarType type) {
  return value.isTensor() && value.toTensor().defined() && value.toTensor().scalar_type() == type;
}

}  // namespace

void join_attention(Trace& trace) {
  for (const auto& [at, pattern] : find_attention(trace)) {
    Operation& operation = trace.operations[at];
    if (operation.name == attention) continue;  // as it is written
    operation.name = attention;
    operation.arguments = {pattern.q.value, pattern.k.value, pattern.v.value};
    operation.run = [pattern = pattern](Stack& stack) { attend(pattern, stack); };
  }
}

void join_scale_and_shift(Trace& trace) {
  const ScaleFinder finder(trace);
  std::vector<Operation> joined;
  for (Operation operation : trace.operations) {
    if (const auto found = finder.find(operation)) {
      const Operation& normalization = *found->normalization;
      const auto sizes = trace.values[operation.results[0]].sizes;
      const std::int64_t samples = sizes[0], channels = sizes[1];
      Operation affine;
      affine.name = "onestep::scale_and_shift";
      affine.arguments = {normalization.arguments.at(2), normalization.arguments.at(3), found->scale, found->shift};
      for (int k = 0; k < 2; ++k) {
        affine.results.push_back(add_value(trace, {.source = Source::condition, .sizes = {samples * channels}}));
      }
      affine.run = [samples, channels](Stack& stack) {  // (n weight + bias) scale + shift, as one factor and one addend
        const Tensor scale = stack.at(2).toTensor().flatten(1), shift = stack.at(3).toTensor().flatten(1);
        const Tensor factor = stack.at(0).isTensor() ? scale * stack.at(0).toTensor() : scale;
        const Tensor addend = stack.at(1).isTensor() ? scale * stack.at(1).toTensor() + shift : shift;
        stack = {factor.expand({samples, channels}).reshape(-1), addend.expand({samples, channels}).reshape(-1)};
      };
      operation.name = group_norm;
      operation.arguments = {normalization.arguments.at(0), normalization.arguments.at(1), affine.results[0],
                             affine.results[1], normalization.arguments.at(4)};
      operation.run = [samples](Stack& stack) {
        const Tensor x = stack.at(0).toTensor();
        const Tensor folded = x.reshape({1, samples * x.size(1), -1});
        stack = {torch::group_norm(folded, samples * stack.at(1).toInt(), stack.at(2).toTensor(),
                                   stack.at(3).toTensor(), stack.at(4).toDouble())
                     .reshape(x.sizes())};
      };
      joined.push_back(std::move(affine));
    }
    joined.push_back(std::move(operation));
  }
  trace.operations = std::move(joined);
}

void allow_any_layout(Trace& trace) {
  for (Operation& operation : trace.operations) {
    if (operation.name != "aten::view" || !other_at(operation, 1).isIntList()) continue;
    operation.run = [](Stack& stack) { stack = {stack.at(0).toTensor().reshape(stack.at(1).toIntVector())}; };
  }
}

void convert_products(Trace& trace, torch::ScalarType type, Converted& converted) {
  // Those that an earlier trace alone had.
  std::erase_if(converted, [](const auto& weight) { return weight.first.use_count() == 1; });
  for (Operation& operation : trace.operations) {
    if (trace.values[operation.results[0]].source != Source::sample) continue;
    if (operation.name == group_norm) {
      operation.run = [run = std::move(operation.run)](Stack& stack) {
        // As its weights are.
        if (!stack.at(2).isTensor() || is_of(stack.at(2), torch::kFloat32))
          stack.at(0) = stack.at(0).toTensor().to(torch::kFloat32, false, false, at::MemoryFormat::Contiguous);
        run(stack);
      };
      continue;
    }
    if (takes_float32(operation.name)) {
      operation.run = [run = std::move(operation.run), type](Stack& stack) {
        for (IValue& argument : stack) {
          // In the order that it had: a copy that changes neither that nor the type is not in the trace.
          if (is_of(argument, type) || is_of(argument, torch::kFloat32))
            argument = argument.toTensor().to(torch::kFloat32, false, false, at::MemoryFormat::Contiguous);
        }
        run(stack);
      };
      continue;
    }
    if (repeats_pixels(operation.name)) {  // exactly, in any type; autocast has it in float32
      operation.run = [run = std::move(operation.run)](Stack& stack) {
        const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
        run(stack);
      };
      continue;
    }
    const auto factors = factors_of(operation.name);
    const bool convolves = operation.name.find("conv") != std::string::npos;
    for (const std::size_t at : factors) {
      const auto value = tensor_at(operation, at);
      if (!value || trace.values[*value].type != torch::kFloat32) continue;
      const Tensor constant = trace.values[*value].constant;
      if (!constant.defined()) continue;
      Tensor& weight = converted[constant.getIntrusivePtr()];
      if (!weight.defined()) {
        const auto format = convolves ? channels_last(constant.dim()) : at::MemoryFormat::Contiguous;
        weight = constant.to(type, false, false, format);
      }
      operation.arguments[at] =
          add_value(trace, {.constant = weight, .sizes = weight.sizes().vec(), .type = type, .uses = 1});
    }
    if (factors.empty()) continue;
    operation.run = [run = std::move(operation.run), factors, convolves, type](Stack& stack) {
      for (const std::size_t at : factors) {
        if (at >= stack.size() || !is_of(stack[at], torch::kFloat32)) continue;
        const Tensor factor = stack[at].toTensor();
        const auto format = convolves && at == 0 ? channels_last(factor.dim()) : at::MemoryFormat::Preserve;
        stack[at] = factor.to(type, false, false, format);
      }
      run(stack);
    };
  }
}

}  // namespace onestep::engine
