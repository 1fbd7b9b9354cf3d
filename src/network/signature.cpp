#include "onestep/signature.hpp"

#include "shape_text.hpp"

namespace onestep {

std::string to_text(const Size& size) {
  if (size.name.empty()) return std::to_string(size.number);
  return size.number == 1 ? size.name : std::to_string(size.number) + size.name;
}

std::string to_text(const std::vector<Size>& shape) { return shape_text(shape); }

Signature fixed_at(Signature signature, const std::vector<std::int64_t>& sizes) {
  std::map<std::string, std::int64_t> found;
  const std::vector<Size>& x = signature.inputs.front().shape;
  for (std::size_t i = 1; i < x.size() && i < sizes.size(); ++i) {
    if (!x[i].name.empty()) found[x[i].name] = sizes[i] / x[i].number;
  }
  const auto fix = [&](Port& port) {
    for (std::vector<Size>* shape : {&port.shape, &port.map}) {
      for (Size& size : *shape) {
        if (const auto known = found.find(size.name); known != found.end()) size = {size.number * known->second};
      }
    }
  };
  for (Port& input : signature.inputs) fix(input);
  fix(signature.output);
  for (const auto& [name, size] : found) signature.multiples.erase(name);
  return signature;
}

}  // namespace onestep
