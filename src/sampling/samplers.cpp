#include "onestep/samplers.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "onestep/tensor/custom_sampler.hpp"
#include "require.hpp"
#include "sampler_table.hpp"
#include "schedule.hpp"

namespace onestep {
namespace {

/// "a, b, c" of the samplers for which holds(row).
template <typename Holds>
std::string names(Holds holds) {
  std::string text;
  for_each_sampler([&](const auto& row) {
    if (holds(row)) text += (text.empty() ? "" : ", ") + std::string(row.name);
  });
  return text;
}

}  // namespace

Sampler default_sampler(const ModelInfo& info) {
  switch (info.role) {
    case Role::consistency:
      return ConsistencySampler{};
    case Role::flow_map:
      return GammaSampler{};
    case Role::diffusion:
      break;
  }
  if (info.prediction == "flow") return EulerSampler{};
  return HeunSampler{};
}

std::vector<SamplerDescription> samplers() {
  std::vector<SamplerDescription> all;
  for_each_sampler([&](const auto& row) {
    all.push_back({row.name, row.roles, row.description, row.steps, {}});
    for (const auto& option : row.options) all.back().options.push_back(option.described());
  });
  return all;
}

Sampler make_sampler(const std::string& name, Levels levels, const std::map<std::string, double>& options) {
  Sampler made;
  const auto make = [&]<typename S>(const SamplerRow<S>& row) {
    if (row.name != name) return;
    S sampler;
    sampler.levels = std::move(levels);
    for (const auto& [given, value] : options) {
      const auto is_it = [&, &given = given](const auto& option) { return option.name == given; };
      const auto option = std::find_if(row.options.begin(), row.options.end(), is_it);
      if (option == row.options.end()) {
        const std::string takers =
            names([&](const auto& other) { return std::any_of(other.options.begin(), other.options.end(), is_it); });
        refuse(takers.empty() ? "no sampler has an option " + given
                              : given + " is for the sampler " + takers + ", not " + name);
      }
      option->of(sampler) = value;
    }
    made = std::move(sampler);
  };
  for_each_sampler(make);
  if (std::holds_alternative<std::monostate>(made)) {
    refuse("sampler " + name + " is none of " + names([](const auto&) { return true; }));
  }
  return made;
}

SamplerParts parts_of(const Sampler& sampler) {
  return std::visit(
      []<typename S>(const S& s) -> SamplerParts {
        SamplerParts parts;
        if constexpr (NamedSampler<S>) {
          parts = {row_of(s).name, s.levels, {}};
          for (const auto& option : row_of(s).options) {
            if (option.in(s) != option.in({})) parts.options[option.name] = option.in(s);
          }
        } else if constexpr (!std::is_same_v<S, std::monostate>) {
          if (s) parts = {s->name, s->levels, {}};
        }
        return parts;
      },
      sampler);
}

std::string range_text(const SamplerOption& option) {
  std::ostringstream text;
  text << option.low;
  if (std::isinf(option.high)) {
    text << " or more";
  } else {
    text << " to " << option.high;
  }
  return text.str();
}

std::vector<Choice> level_schedules() {
  std::vector<Choice> choices;
  for (const Schedule& schedule : schedules()) {
    choices.push_back({schedule.name, schedule.for_models, schedule.description});
  }
  return choices;
}

}  // namespace onestep
