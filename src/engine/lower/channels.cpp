#include "lower/channels.hpp"

#include <algorithm>

#include "kernels/kernels.hpp"

namespace onestep::engine {
namespace {

using torch::Tensor;

Channels combine(const Channels& a, const Channels& b, Conditions& conditions,
                 Tensor (*operation)(const Tensor&, const Tensor&)) {
  if (a.known.defined() && b.known.defined()) return {operation(a.known, b.known)};
  const auto get = [](const Channels& of, const Conditions::Slots& slots) {
    return of.known.defined() ? of.known : slots.at(of.slot);
  };
  return {{}, conditions.add([=](const auto& slots) { return operation(get(a, slots), get(b, slots)); })};
}

}  // namespace

Channels filled(std::int64_t count, double value) { return {torch::full({count}, value, torch::kFloat32)}; }

Channels times(const Channels& a, const Channels& b, Conditions& conditions) {
  return combine(a, b, conditions, [](const Tensor& x, const Tensor& y) { return x * y; });
}

Channels plus(const Channels& a, const Channels& b, Conditions& conditions) {
  return combine(a, b, conditions, [](const Tensor& x, const Tensor& y) { return x + y; });
}

Channels over(const Channels& a, const Channels& b, Conditions& conditions) {
  return combine(a, b, conditions, [](const Tensor& x, const Tensor& y) { return x / y; });
}

std::optional<float> uniform(const Channels& channels) {
  if (!channels.known.defined()) return std::nullopt;
  const float first = channels.known[0].item<float>();
  return (channels.known == first).all().item<bool>() ? std::optional(first) : std::nullopt;
}

Row as_row(const Channels& channels, std::int64_t count, Conditions& conditions) {
  if (!channels.known.defined()) return {nullptr, conditions.keep(channels.slot, count)};
  auto numbers = std::make_shared<std::vector<float>>(static_cast<std::size_t>(count + kernels::overread));
  std::copy_n(channels.known.contiguous().const_data_ptr<float>(), count, numbers->begin());
  return {std::move(numbers), 0};
}

}  // namespace onestep::engine
