#include "trace/trace.hpp"

#include <torch/csrc/jit/passes/canonicalize_graph_fuser_ops.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <set>
#include <unordered_map>

#include "trace/script.hpp"
#include "trace/spellings.hpp"

namespace onestep::engine {
namespace {

/// The largest networks have some 5,000. More come of loops over pixels or tokens, whose small operations are no faster
/// as steps, and take longer to compile than many calls take.
constexpr std::size_t most_operations = 8192;

using torch::IValue;
using torch::Tensor;
using torch::jit::Block;
using torch::jit::Node;

/// Operators that ask a tensor for what it is, not for what it holds.
bool asks_for_metadata(const std::string& name) {
  static const std::set<std::string> names{
      "aten::size",          "aten::dim",           "aten::numel",    "aten::len",       "aten::stride",
      "prim::device",        "prim::dtype",         "prim::layout",   "prim::shape",     "aten::is_floating_point",
      "aten::is_complex",    "aten::is_contiguous", "aten::__is__",   "aten::__isnot__", "prim::is_cuda",
      "prim::requires_grad", "aten::get_device",    "aten::sym_size", "aten::sym_numel", "prim::type"};
  return names.contains(name);
}

std::function<void(torch::jit::Stack&)> callable(torch::jit::Operation operation) {
  return [operation = std::move(operation)](torch::jit::Stack& stack) mutable { operation(stack); };
}

class Tracer {
 public:
  Trace run(const torch::jit::Module& module, const NetworkInput& one) {
    graph_ = inlined_graph(module);
    spell_out_layers(graph_);
    inline_calls(*graph_);
    torch::jit::EliminateDeadCode(graph_);
    // A number that was traced becomes one again; it is a tensor of double precision.
    torch::jit::CanonicalizeOps(graph_);

    const auto parameters = graph_->inputs();
    environment_[parameters[0]] = module._ivalue();
    std::size_t next = 1;
    const auto take = [&](const Tensor& given, Source source) {
      // A tensor of its own, which nothing else can be.
      const Tensor input = given.to(one.x.device(), /*non_blocking=*/false, /*copy=*/true);
      trace_.inputs.push_back(add(input, source));
      environment_[parameters[next++]] = input;
    };
    take(one.x, Source::sample);
    for (const Tensor& condition : one.conditions) take(condition, Source::condition);
    const auto& arguments = module.get_method("forward").function().getSchema().arguments();
    for (; next < parameters.size(); ++next) environment_[parameters[next]] = arguments[next].default_value().value();

    find_last_uses();
    run(graph_->block());
    const IValue result = environment_.at(graph_->outputs()[0]);
    if (!result.isTensor()) throw NotCompiled("it returns no tensor");
    trace_.output = result.toTensor();
    trace_.result = find(trace_.output);
    join_spelled(trace_);
    keep_what_is_used();
    return std::move(trace_);
  }

 private:
  ValueId add(const Tensor& tensor, Source source) {
    const auto [place, added] = ids_.emplace(tensor.unsafeGetTensorImpl(), trace_.values.size());
    if (added) {
      trace_.values.push_back(
          {source, source == Source::constant ? tensor : Tensor(), tensor.sizes().vec(), tensor.scalar_type()});
      // Its address stays its own, and its memory can go.
      seen_.emplace_back(tensor.getIntrusivePtr());
      if (source == Source::constant) constants_.insert(tensor.storage().unsafeGetStorageImpl());
    }
    return place->second;
  }

  /// The tensors of a whole network at once can be a hundred times what one of its operations needs.
  void find_last_uses() {
    std::unordered_map<const torch::jit::Value*, const Node*> last;
    const std::function<void(const Block*, const Node*)> visit = [&](const Block* block, const Node* outer) {
      for (const Node* node : block->nodes()) {
        for (const torch::jit::Value* input : node->inputs()) last[input] = outer ? outer : node;
        for (const Block* inner : node->blocks()) {
          visit(inner, outer ? outer : node);
          for (const torch::jit::Value* output : inner->outputs()) last[output] = outer ? outer : node;
        }
      }
    };
    visit(graph_->block(), nullptr);
    for (const auto& [value, node] : last) last_uses_[node].push_back(value);
    for (const torch::jit::Value* output : graph_->outputs()) {
      std::erase(last_uses_[last[output]], output);
    }
  }

  /// The tensor's value; one that is not known yet is a constant.
  ValueId find(const Tensor& tensor) { return add(tensor, Source::constant); }

  /// The tensors that a value holds, at any depth.
  static void collect(const IValue& value, std::vector<Tensor>& tensors) {
    if (value.isTensor()) {
      if (value.toTensor().defined()) tensors.push_back(value.toTensor());
    } else if (value.isTensorList()) {
      for (const Tensor& tensor : value.toTensorVector()) tensors.push_back(tensor);
    } else if (value.isList()) {
      for (const IValue& part : value.toListRef()) collect(part, tensors);
    } else if (value.isTuple()) {
      for (const IValue& part : value.toTupleRef().elements()) collect(part, tensors);
    }
  }

  Source source_of(const IValue& value) {
    std::vector<Tensor> tensors;
    collect(value, tensors);
    Source source = Source::constant;
    for (const Tensor& tensor : tensors) {
      const auto known = ids_.find(tensor.unsafeGetTensorImpl());
      if (known != ids_.end()) source = std::max(source, trace_.values[known->second].source);
    }
    return source;
  }

  void run(const Block* block) {
    for (const Node* node : block->nodes()) {
      run(node);
      const auto done = last_uses_.find(node);
      if (done == last_uses_.end()) continue;
      for (const torch::jit::Value* value : done->second) environment_.erase(value);
    }
  }

  void run(const Node* node) {
    switch (node->kind()) {
      case torch::jit::prim::Constant:
        if (node->mustBeNone()) {
          environment_[node->output()] = IValue();
        } else {
          environment_[node->output()] = torch::jit::toIValue(node->output()).value();
        }
        return;
      case torch::jit::prim::GetAttr:
        environment_[node->output()] =
            environment_.at(node->input()).toObjectRef().getAttr(node->s(torch::jit::attr::name));
        return;
      case torch::jit::prim::If: {
        const Block* taken = node->blocks()[environment_.at(node->input()).toBool() ? 0 : 1];
        run(taken);
        for (std::size_t i = 0; i < node->outputs().size(); ++i) {
          environment_[node->outputs()[i]] = environment_.at(taken->outputs()[i]);
        }
        return;
      }
      case torch::jit::prim::Loop:
        run_loop(node);
        return;
      default:
        call_operator(node);
    }
  }

  void run_loop(const Node* node) {
    const Block* body = node->blocks()[0];
    const std::int64_t most = environment_.at(node->inputs()[0]).toInt();
    bool goes_on = environment_.at(node->inputs()[1]).toBool();
    std::vector<IValue> carried;
    for (std::size_t i = 2; i < node->inputs().size(); ++i) carried.push_back(environment_.at(node->inputs()[i]));
    for (std::int64_t turn = 0; turn < most && goes_on; ++turn) {
      environment_[body->inputs()[0]] = turn;
      for (std::size_t i = 0; i < carried.size(); ++i) environment_[body->inputs()[i + 1]] = carried[i];
      run(body);
      goes_on = environment_.at(body->outputs()[0]).toBool();
      for (std::size_t i = 0; i < carried.size(); ++i) carried[i] = environment_.at(body->outputs()[i + 1]);
    }
    for (std::size_t i = 0; i < carried.size(); ++i) environment_[node->outputs()[i]] = carried[i];
  }

  static IValue list_of(const std::vector<IValue>& parts, const c10::TypePtr& type) {
    c10::impl::GenericList list(type);
    for (const IValue& part : parts) list.push_back(part);
    return list;
  }

  void call_operator(const Node* node) {
    torch::jit::Stack stack;
    Source source = Source::constant;
    for (const torch::jit::Value* input : node->inputs()) {
      stack.push_back(environment_.at(input));
      source = std::max(source, source_of(stack.back()));
    }
    const std::vector<IValue> arguments(stack.begin(), stack.end());

    switch (node->kind()) {
      case torch::jit::prim::ListConstruct:
        stack = {list_of(arguments, node->output()->type()->expectRef<c10::ListType>().getElementType())};
        break;
      case torch::jit::prim::TupleConstruct:
        stack = {c10::ivalue::Tuple::create(arguments)};
        break;
      case torch::jit::prim::ListUnpack: {
        const auto parts = arguments[0].toListRef();
        stack.assign(parts.begin(), parts.end());
        break;
      }
      case torch::jit::prim::TupleUnpack:
        stack = arguments[0].toTupleRef().elements().vec();
        break;
      case torch::jit::prim::TupleIndex: {
        std::int64_t index = arguments[1].toInt();
        const auto& parts = arguments[0].toTupleRef().elements();
        if (index < 0) index += static_cast<std::int64_t>(parts.size());
        stack = {parts.at(static_cast<std::size_t>(index))};
        break;
      }
      case torch::jit::prim::unchecked_cast:
        break;
      default: {
        const auto* schema = node->maybeSchema();
        if (schema == nullptr)
          throw NotCompiled(std::string("the engine does not know ") + node->kind().toQualString());
        Operation operation;
        operation.name = node->kind().toQualString();
        operation.run = callable(node->getOperation());
        if (source != Source::constant) operation.arguments = described(arguments);
        if (schema->is_mutable() && arguments[0].isTensor()) {
          make_functional(*schema, arguments[0].toTensor(), source, operation);
        }
        node->getOperation()(stack);
        if (source != Source::constant) note(std::move(operation), arguments, stack, source);
      }
    }
    for (std::size_t i = 0; i < node->outputs().size(); ++i) environment_[node->outputs()[i]] = stack.at(i);
  }

  std::vector<Argument> described(const std::vector<IValue>& arguments) {
    std::vector<Argument> result;
    for (const IValue& argument : arguments) {
      if (argument.isTensor() && argument.toTensor().defined()) {
        result.emplace_back(find(argument.toTensor()));
      } else if (argument.isTensorList()) {
        std::vector<ValueId> list;
        for (const Tensor& tensor : argument.toTensorVector()) list.push_back(find(tensor));
        result.emplace_back(std::move(list));
      } else {
        result.emplace_back(argument);
      }
    }
    return result;
  }

  /// An operation that writes to its first argument, as one that returns what would be written: the same thing where
  /// nobody else looks at that memory.
  void make_functional(const c10::FunctionSchema& schema, const Tensor& written, Source source, Operation& operation) {
    // What is no longer needed has been let go of, so that every other tensor over this memory counts. Constants are
    // computed as they are met, and can be written to until the trace holds them.
    const bool is_looked_at = source_of(written) == Source::constant
                                  ? constants_.contains(written.storage().unsafeGetStorageImpl())
                                  : written.storage().use_count() > 1;
    if (is_looked_at) throw NotCompiled(operation.name + " writes in place to what others look at");
    if (source == Source::constant) return;
    const std::string name = operation.name.substr(0, operation.name.size() - 1);
    for (const auto& candidate : torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(name))) {
      if (operation.name.back() != '_' || candidate->schema().overload_name() != schema.overload_name()) continue;
      operation.name = name;
      operation.run = callable(candidate->getOperation());
      ids_.erase(written.unsafeGetTensorImpl());  // from here on the tensor is another value
      return;
    }
    throw NotCompiled(operation.name + " writes in place");
  }

  /// Adds a call that depends on the inputs to the trace.
  void note(Operation operation, const std::vector<IValue>& arguments, const torch::jit::Stack& results,
            Source source) {
    std::vector<Tensor> computed;
    for (const IValue& result : results) {
      if (result.isTensor() || result.isTensorList()) {
        operation.lists_results |= result.isTensorList();
        collect(result, computed);
        continue;
      }
      // Sizes and types are the network's own, as are containers; other numbers are the input's.
      std::vector<Tensor> held;
      collect(result, held);
      if (!held.empty() || asks_for_metadata(operation.name)) continue;
      throw NotCompiled("what it does depends on values of its input (" + operation.name + ")");
    }
    bool any_new = false;
    for (const Tensor& tensor : computed) any_new |= !ids_.contains(tensor.unsafeGetTensorImpl());
    if (!any_new) return;  // hands on what it was given: a dropout, a list's element
    for (const Argument& argument : operation.arguments) {
      std::vector<Tensor> held;
      if (const auto* other = std::get_if<IValue>(&argument)) collect(*other, held);
      for (const Tensor& tensor : held) {
        // It would stay what it was for the traced sample.
        if (trace_.values[find(tensor)].source != Source::constant)
          throw NotCompiled(operation.name + " takes tensors in a list of optional ones");
      }
    }
    for (const Tensor& tensor : computed) operation.results.push_back(add(tensor, source));
    std::vector<Tensor> given;
    for (const IValue& argument : arguments) collect(argument, given);
    operation.is_view = given.size() == 1 && computed[0].is_alias_of(given[0]) &&
                        computed[0].unsafeGetTensorImpl() != given[0].unsafeGetTensorImpl();
    trace_.operations.push_back(std::move(operation));
    if (trace_.operations.size() > most_operations) {
      throw NotCompiled("it does more than " + std::to_string(most_operations) +
                        " operations a call, loops unrolled, which the engine makes no faster");
    }
  }

  /// Leaves out what the result does not need, and counts the uses of the rest.
  void keep_what_is_used() {
    auto& values = trace_.values;
    ++values[trace_.result].uses;
    std::vector<Operation> kept;
    for (auto operation = trace_.operations.rbegin(); operation != trace_.operations.rend(); ++operation) {
      const bool used = std::any_of(operation->results.begin(), operation->results.end(),
                                    [&](ValueId result) { return values[result].uses > 0; });
      if (!used) continue;
      for (const ValueId value : tensors_of(*operation)) ++values[value].uses;
      kept.push_back(std::move(*operation));
    }
    trace_.operations.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  }

  Trace trace_;
  std::shared_ptr<torch::jit::Graph> graph_;
  std::unordered_map<const torch::jit::Value*, IValue> environment_;
  std::unordered_map<const c10::TensorImpl*, ValueId> ids_;
  std::set<const c10::StorageImpl*> constants_;  // over which the trace's are
  std::vector<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>> seen_;
  std::unordered_map<const Node*, std::vector<const torch::jit::Value*>> last_uses_;
};

}  // namespace

Trace trace(const torch::jit::Module& module, const NetworkInput& one) {
  const torch::InferenceMode guard;
  return Tracer().run(module, one);
}

std::vector<ValueId> tensors_of(const Operation& operation) {
  std::vector<ValueId> tensors;
  for (const Argument& argument : operation.arguments) {
    if (const auto* value = std::get_if<ValueId>(&argument)) tensors.push_back(*value);
    if (const auto* list = std::get_if<std::vector<ValueId>>(&argument))
      tensors.insert(tensors.end(), list->begin(), list->end());
  }
  return tensors;
}

std::vector<Tensor> call(const Operation& operation, const std::function<Tensor(ValueId)>& tensor) {
  torch::jit::Stack stack;
  for (const Argument& argument : operation.arguments) {
    if (const auto* value = std::get_if<ValueId>(&argument)) {
      stack.emplace_back(tensor(*value));
    } else if (const auto* list = std::get_if<std::vector<ValueId>>(&argument)) {
      c10::List<Tensor> parts;
      for (const ValueId part : *list) parts.push_back(tensor(part));
      stack.emplace_back(std::move(parts));
    } else {
      stack.push_back(std::get<IValue>(argument));
    }
  }
  operation.run(stack);
  std::vector<Tensor> results;
  for (const IValue& result : stack) {
    if (operation.lists_results) {
      for (const Tensor& part : result.toTensorVector()) results.push_back(part);
    } else {
      results.push_back(result.toTensor());
    }
  }
  return results;
}

}  // namespace onestep::engine
