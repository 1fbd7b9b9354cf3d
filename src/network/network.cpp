#include "onestep/tensor/network.hpp"

#include "listening.hpp"
#include "onestep/error.hpp"
#include "require.hpp"
#include "shape_text.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

using torch::Tensor;

torch::ScalarType type_of(ElementType type) {
  switch (type) {
    case ElementType::int64:
      return torch::kInt64;
    case ElementType::boolean:
      return torch::kBool;
    case ElementType::float32:
      break;
  }
  return torch::kFloat32;
}

const char* name_of(ElementType type) {
  return type == ElementType::int64 ? "int64" : type == ElementType::boolean ? "bool" : "float32";
}

std::string type_text(const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kFloat32:
      return "float32";
    case torch::kFloat64:
      return "float64";
    case torch::kInt64:
      return "int64";
    case torch::kBool:
      return "bool";
    default:
      return c10::toString(tensor.scalar_type());
  }
}

/// Holds one call's tensors against a signature. Free sizes are known from where they first stand.
class Call {
 public:
  Call(const std::string& network, const Signature& signature) : network_(network), signature_(signature) {}

  void require(ErrorKind kind, const char* role, const Port& port, const Tensor& tensor, torch::Device device) {
    const auto refuse = [&](const std::string& found) {
      throw Error(kind, network_ + ": " + role + " " + port.name + " " + found + "; it must be " + name_of(port.type) +
                            " " + to_text(port.shape) + (port.map.empty() ? "" : " or " + to_text(port.map)) + known());
    };
    if (!tensor.defined()) refuse("is not given");
    if (tensor.layout() != torch::kStrided) refuse("is sparse");
    const bool map = !port.map.empty() && tensor.dim() == static_cast<std::int64_t>(port.map.size());
    const std::vector<Size>& shape = map ? port.map : port.shape;
    if (tensor.scalar_type() != type_of(port.type) || tensor.dim() != static_cast<std::int64_t>(shape.size()))
      refuse("is " + type_text(tensor) + " " + shape_text(tensor.sizes()));
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (!fits(shape[i], tensor.size(static_cast<std::int64_t>(i))))
        refuse("is " + type_text(tensor) + " " + shape_text(tensor.sizes()));
    }
    if (tensor.device().type() != device.type() || (device.has_index() && tensor.device() != device)) {
      throw Error(kind, network_ + ": " + role + " " + port.name + " is on " + tensor.device().str() +
                            "; it must be on " + device.str());
    }
  }

 private:
  bool fits(const Size& size, std::int64_t found) {
    if (size.name.empty()) return found == size.number;
    const auto known = sizes_.find(size.name);
    if (known != sizes_.end()) return found == size.number * known->second;
    if (found < 1 || found % size.number != 0) return false;
    const std::int64_t value = found / size.number;
    const auto multiple = signature_.multiples.find(size.name);
    if (multiple != signature_.multiples.end() && value % multiple->second != 0) return false;
    sizes_[size.name] = value;
    return true;
  }

  /// What the names in the message stand for.
  std::string known() const {
    std::string text;
    for (const auto& [name, size] : sizes_)
      text += (text.empty() ? " with " : ", ") + name + " = " + std::to_string(size);
    for (const auto& [name, multiple] : signature_.multiples) {
      if (!sizes_.contains(name))
        text += (text.empty() ? " with " : ", ") + name + " a multiple of " + std::to_string(multiple);
    }
    return text;
  }

  const std::string& network_;
  const Signature& signature_;
  std::map<std::string, std::int64_t> sizes_;
};

void require_inputs(const Network& network, Call& call, const NetworkInput& input) {
  const std::vector<Port>& ports = network.signature().inputs;
  if (input.conditions.size() + 1 != ports.size()) {
    std::string names;
    for (const Port& port : ports) names += (names.empty() ? "" : ", ") + port.name;
    throw Error(ErrorKind::usage, network.name() + ": " + std::to_string(input.conditions.size() + 1) +
                                      " inputs are given; it takes " + std::to_string(ports.size()) + ": " + names);
  }
  call.require(ErrorKind::usage, "input", ports[0], input.x, network.device());
  for (std::size_t i = 1; i < ports.size(); ++i)
    call.require(ErrorKind::usage, "input", ports[i], input.conditions[i - 1], torch::kCPU);
}

}  // namespace

NetworkInput NetworkInput::with_each(const std::function<Tensor(const Tensor&)>& change) const {
  NetworkInput changed{change(x), {}};
  for (const Tensor& condition : conditions) changed.conditions.push_back(change(condition));
  return changed;
}

NetworkInput NetworkInput::row(std::int64_t i) const {
  return with_each([i](const Tensor& part) {
    require_whole("row", i, 0, part.defined() && part.dim() > 0 ? part.size(0) - 1 : -1);
    return part.narrow(0, i, 1);
  });
}

Network::Network(std::string name, Signature signature, torch::Device device)
    : name_(std::move(name)), signature_(std::move(signature)), device_(device) {}

Tensor Network::forward(const NetworkInput& input) {
  const Listening listening(name_);
  return translated(name_, [&] {
    Call call(name_, signature_);
    require_inputs(*this, call, input);
    Tensor output = run(input);
    call.require(ErrorKind::model, "the network's", signature_.output, output, device_);
    return output;
  });
}

EngineReport Network::report(const NetworkInput& input) {
  const Listening listening(name_);
  return translated(name_, [&] {
    Call call(name_, signature_);
    require_inputs(*this, call, input);
    return measure(input);
  });
}

EngineReport Network::measure(const NetworkInput& /*input*/) { return {}; }

}  // namespace onestep
