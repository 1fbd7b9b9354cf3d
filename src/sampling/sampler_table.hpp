#pragma once

#include <cstdint>
#include <memory>
#include <tuple>
#include <variant>
#include <vector>

#include "onestep/samplers.hpp"
#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// An option of the sampler S. Its default is that of the struct.
template <typename S>
struct OptionRow {
  const char* name;
  const char* description;
  double low, high;  ///< Inclusive.
  double& (*of)(S& sampler);

  double in(S sampler) const { return of(sampler); }
  SamplerOption described() const { return {name, description, low, high, in(S{})}; }
};

/// What one batch is sampled with.
struct SamplerInput {
  const FlowMapFunction& f;
  const Tensor& x;  ///< At levels.front().
  const NoiseSource& z;
  const std::vector<double>& levels;
  const ModelInfo& info;
};

/// All that is known of the sampler S, a struct of onestep/samplers.hpp.
template <typename S>
struct SamplerRow {
  const char* name;
  const char* description;  ///< What it does, and its source.
  std::vector<Role> roles;  ///< Of the models that it suits.
  int steps;                ///< By default.
  /// Steps are the levels that a model recommends for so many, rather than those of a schedule.
  bool takes_recommended = false;
  int calls = 1;  ///< Network calls a level; the last level takes one.
  std::vector<OptionRow<S>> options = {};
  /// Gaussians for so many levels, the initial noise included.
  std::int64_t (*draws)(const S& sampler, std::int64_t levels) = [](const S&, std::int64_t) -> std::int64_t {
    return 1;
  };
  Tensor (*sample)(const S& sampler, const SamplerInput& input);
};

/// A row for each sampler of the variant that has a name.
template <typename Variant>
struct RowsOf;
template <typename... S>
struct RowsOf<std::variant<std::monostate, std::shared_ptr<const CustomSampler>, S...>> {
  using type = std::tuple<SamplerRow<S>...>;
};
using SamplerTable = RowsOf<Sampler>::type;

const SamplerTable& sampler_table();

/// A struct that has a row.
template <typename S>
concept NamedSampler = requires(S s) {
  s.levels;
};

template <NamedSampler S>
const SamplerRow<S>& row_of(const S&) {
  return std::get<SamplerRow<S>>(sampler_table());
}

/// visit(row) for each of them.
template <typename Visit>
void for_each_sampler(Visit visit) {
  std::apply([&](const auto&... row) { (visit(row), ...); }, sampler_table());
}

/// Throws Error (usage) unless value is in the option's range.
void require_option(const SamplerOption& option, double value);

template <NamedSampler S>
void require_options(const S& sampler) {
  for (const auto& option : row_of(sampler).options) require_option(option.described(), option.in(sampler));
}

}  // namespace onestep
