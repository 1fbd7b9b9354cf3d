#include "lower/lower.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "lower/operators.hpp"
#include "run/places.hpp"
#include "run/torch_call.hpp"
#include "trace/arguments.hpp"
#include "trace/attention_pattern.hpp"
#include "trace/spellings.hpp"

namespace onestep::engine {
namespace {

using kernels::Activation;

/// The operators that steps can do; nothing else is done by this name.
const std::map<std::string, std::function<bool(Blueprint&, const Operation&)>>& known_operators() {
  const auto convolution = [](Blueprint& blueprint, const Operation& operation) {
    return convolve(blueprint, operation, other_at(operation, 6).toBool(), 8);
  };
  const auto forward_convolution = [](Blueprint& blueprint, const Operation& operation) {
    return convolve(blueprint, operation, false, 6);
  };
  const auto product_of = [](const MatrixArguments& at) {
    return [at](Blueprint& blueprint, const Operation& operation) { return multiply_matrix(blueprint, operation, at); };
  };
  const auto matmul = [](Blueprint& blueprint, const Operation& operation) {
    return multiply_matrix(blueprint, operation, {0, 1, std::nullopt, false}) || multiply_samples(blueprint, operation);
  };
  const auto einsum = [](Blueprint& blueprint, const Operation& operation) {  // of one: an order of its dimensions
    return multiply_samples(blueprint, operation) || view(blueprint, operation);
  };
  const auto sum_with = [](double sign) {
    return [sign](Blueprint& blueprint, const Operation& operation) { return add(blueprint, operation, sign); };
  };
  const auto rows_with = [](Moments moments) {
    return [moments](Blueprint& blueprint, const Operation& operation) {
      return normalize_rows(blueprint, operation, moments);
    };
  };
  const auto activation = [](const Activation& activation) {
    return [activation](Blueprint& blueprint, const Operation& operation) {
      return activate(blueprint, operation, activation);
    };
  };
  const auto gelu = [](Blueprint& blueprint, const Operation& operation) {
    const bool by_tanh = other_at(operation, 1).isString() && other_at(operation, 1).toStringRef() == "tanh";
    return activate(blueprint, operation, {by_tanh ? Activation::gelu_tanh : Activation::gelu});
  };
  const auto leaky_relu = [](Blueprint& blueprint, const Operation& operation) {
    Activation leaky{Activation::leaky_relu};
    leaky.slope = other_at(operation, 1).toScalar().to<float>();
    return activate(blueprint, operation, leaky);
  };
  static const std::map<std::string, std::function<bool(Blueprint&, const Operation&)>> known{
      {"aten::_convolution", convolution},
      {"aten::convolution", convolution},
      {"aten::conv1d", forward_convolution},
      {"aten::conv2d", forward_convolution},
      {"aten::conv3d", forward_convolution},
      {"aten::linear", product_of({0, 1, 2, true})},
      {"aten::addmm", product_of({1, 2, 0, false})},
      {"aten::matmul", matmul},
      {"aten::bmm", multiply_samples},
      {"aten::baddbmm", multiply_samples},
      {"aten::einsum", einsum},
      {"aten::softmax", softmax},
      {"aten::_softmax", softmax},
      {"aten::batch_norm", normalize_batches},
      {"aten::group_norm", normalize_groups},
      {"aten::instance_norm", normalize_instances},
      {"aten::layer_norm", rows_with(Moments::row)},
      {"aten::rms_norm", rows_with(Moments::row_square)},
      {over_norm, divide_by_norm},
      {"aten::silu", activation({Activation::silu})},
      {"aten::gelu", gelu},
      {"aten::mish", activation({Activation::mish})},
      {"aten::leaky_relu", leaky_relu},
      {"aten::sigmoid", activation({Activation::sigmoid})},
      {"aten::tanh", activation({Activation::tanh})},
      {"aten::relu", activation({Activation::clamp, 0})},
      {"aten::relu6", activation({Activation::clamp, 0, 6})},
      {"aten::clamp", clamp},
      {"aten::clamp_min", clamp},
      {"aten::hardtanh", clamp},
      {"aten::mul", multiply},
      {"aten::div", divide},
      {"aten::neg", negate},
      {"aten::add", sum_with(1)},
      {"aten::sub", sum_with(-1)},
      {"aten::addcmul", add_product},
      {"aten::lerp", interpolate},
      {"aten::cat", concatenate},
      {"aten::full_like", fill},
      {"aten::new_full", fill},
      {"aten::new_ones", fill},
      {"aten::new_zeros", fill},
      {"aten::ones_like", fill},
      {"aten::zeros_like", fill},
      {"aten::upsample_nearest1d", move_pixels},
      {"aten::upsample_nearest2d", move_pixels},
      {"aten::upsample_nearest3d", move_pixels},
      {"aten::_upsample_nearest_exact1d", move_pixels},
      {"aten::_upsample_nearest_exact2d", move_pixels},
      {"aten::_upsample_nearest_exact3d", move_pixels},
      {"aten::pad", move_pixels},
      {"aten::constant_pad_nd", move_pixels},
      {"aten::reflection_pad1d", move_pixels},
      {"aten::reflection_pad2d", move_pixels},
      {"aten::reflection_pad3d", move_pixels},
      {"aten::replication_pad1d", move_pixels},
      {"aten::replication_pad2d", move_pixels},
      {"aten::replication_pad3d", move_pixels},
      {"aten::upsample_linear1d", resample},
      {"aten::upsample_bilinear2d", resample},
      {"aten::upsample_trilinear3d", resample},
      {"aten::upsample_bicubic2d", resample},
      {"aten::_upsample_bilinear2d_aa", resample},
      {"aten::_upsample_bicubic2d_aa", resample},
      {"aten::avg_pool1d", resample},
      {"aten::avg_pool2d", resample},
      {"aten::avg_pool3d", resample},
      {"aten::adaptive_avg_pool1d", resample},
      {"aten::adaptive_avg_pool2d", resample},
      {"aten::adaptive_avg_pool3d", resample},
      {"aten::max_pool1d", pool_largest},
      {"aten::max_pool2d", pool_largest},
      {"aten::max_pool3d", pool_largest},
      {"aten::pixel_shuffle", shuffle},
      {"aten::pixel_unshuffle", shuffle},
      {"aten::contiguous", pass_on},
      {"aten::clone", pass_on},
  };
  return known;
}

bool lower_known(Blueprint& blueprint, const Operation& operation) {
  if (blueprint.sizes(operation.results[0]).empty()) return false;  // a single number has no channels
  const auto known = known_operators().find(operation.name);
  return known != known_operators().end() ? known->second(blueprint, operation) : view(blueprint, operation);
}

/// Values that are not float32, which no buffer holds: libtorch computes them where they are used. By what makes them.
class Foreign {
 public:
  explicit Foreign(const Trace& trace) : trace_(trace) {}

  /// Of the operation's results. Returns whether there are others.
  bool take(const Operation& operation) {
    bool others = false;
    for (const ValueId result : operation.results) {
      const torch::ScalarType type = trace_.values[result].type;
      if (type == torch::kFloat32) {
        others = true;
        continue;
      }
      // Its weights may be most of the network, which libtorch does at once, not for each sample alone.
      if (!factors_of(operation.name).empty() || operation.name == "aten::einsum") {
        throw NotCompiled(operation.name + " gives " + c10::toString(type) + ", not float32");
      }
      makers_[result] = &operation;
    }
    return others;
  }

  /// What has to be computed for the operation, in order, and the operation.
  std::vector<Operation> before(const Operation& operation) const {
    std::vector<Operation> needed;
    std::set<const Operation*> known;
    add(operation, needed, known);
    // Whoever uses them computes them anew.
    if (needed.size() > most_needed) throw NotCompiled(operation.name + " needs much that is not float32");
    return needed;
  }

 private:
  void add(const Operation& operation, std::vector<Operation>& needed, std::set<const Operation*>& known) const {
    if (!known.insert(&operation).second) return;
    for (const ValueId value : tensors_of(operation)) {
      if (const auto maker = makers_.find(value); maker != makers_.end()) add(*maker->second, needed, known);
    }
    needed.push_back(operation);
  }

  static constexpr std::size_t most_needed = 16;

  const Trace& trace_;
  std::map<ValueId, const Operation*> makers_;
};

/// Conditions are kept as float32, which has to hold the numbers.
void require_kept(torch::ScalarType type, const Operation& operation) {
  switch (type) {
    case torch::kFloat32:
    case torch::kFloat64:  // to the rounding that all others have
    case torch::kFloat16:
    case torch::kBFloat16:
    case torch::kBool:
    case torch::kUInt8:
    case torch::kInt8:
    case torch::kInt16:
      return;
    default:
      throw NotCompiled(operation.name + " takes " + c10::toString(type));
  }
}

void call_torch(Blueprint& blueprint, std::vector<Operation> operations) {
  const auto& values = blueprint.trace().values;
  std::set<ValueId> known;
  std::vector<TorchTensor> inputs, results;
  for (const Operation& operation : operations) {
    for (const ValueId value : tensors_of(operation)) {
      if (!known.insert(value).second) continue;
      const Value& given = values[value];
      if (given.source == Source::sample) {
        inputs.push_back({value, {}, blueprint.place(value)});
      } else if (given.source == Source::constant) {
        inputs.push_back({value, given.constant});
      } else {
        require_kept(given.type, operation);
        const View view{0, blueprint.conditions().keep(value, element_count(given.sizes)), given.sizes,
                        c_order(given.sizes)};
        inputs.push_back({value, {}, view, true, given.type});
      }
    }
    known.insert(operation.results.begin(), operation.results.end());
  }
  for (const ValueId result : operations.back().results) {
    if (values[result].type != torch::kFloat32) continue;
    const View view = blueprint.new_value(result);
    blueprint.lowered(result) = Lowered{view};
    results.push_back({result, {}, view});
  }
  blueprint.push(torch_call_step(std::move(operations), std::move(inputs), std::move(results)));
}

/// Attention among values that buffers hold.
std::map<std::size_t, AttentionPattern> find_held_attention(const Trace& trace) {
  auto found = find_attention(trace);
  std::erase_if(found, [&](const auto& entry) {
    const AttentionPattern& pattern = entry.second;
    return std::ranges::any_of(std::array{pattern.q, pattern.k, pattern.v, pattern.output},
                               [&](const auto& part) { return trace.values[part.value].type != torch::kFloat32; });
  });
  return found;
}

}  // namespace

Program lower(const Trace& trace, std::optional<kernels::bf16::Unit> unit, PackedWeights& packed_weights) {
  const auto& values = trace.values;
  if (values[trace.inputs[0]].type != torch::kFloat32) throw NotCompiled("x is not float32");
  if (values[trace.result].source != Source::sample) throw NotCompiled("its result does not depend on x");
  const std::vector<std::int64_t>& sizes = values[trace.result].sizes;
  if (sizes.empty() || sizes[0] != 1) throw NotCompiled("its result has not one row a sample");
  if (values[trace.result].type != torch::kFloat32) throw NotCompiled("its result is not float32");
  const auto attention = find_held_attention(trace);
  std::set<std::size_t> absorbed;
  for (const auto& [at, pattern] : attention) absorbed.insert(pattern.inside.begin(), pattern.inside.end());
  Blueprint blueprint(trace);
  Foreign foreign(trace);

  const ValueId x = trace.inputs[0];
  const View input = blueprint.new_value(x);
  blueprint.define(x, input, input_step(input));

  for (std::size_t i = 0; i < trace.operations.size(); ++i) {
    const Operation& operation = trace.operations[i];
    if (values[operation.results[0]].source != Source::sample || absorbed.contains(i) || !foreign.take(operation)) {
      continue;
    }
    std::vector<Operation> operations = foreign.before(operation);
    if (const auto found = attention.find(i); found != attention.end()) {
      attend(blueprint, found->second);
    } else if (operations.size() > 1 || !lower_known(blueprint, operation)) {
      call_torch(blueprint, std::move(operations));
    }
  }
  blueprint.push(output_step(blueprint.place(trace.result)));
  return blueprint.finish(unit, packed_weights);
}

}  // namespace onestep::engine
