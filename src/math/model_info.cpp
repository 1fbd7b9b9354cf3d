#include "onestep/model_info.hpp"

#include <algorithm>

#include "onestep/error.hpp"

namespace onestep {

const char* name_of(Role role) {
  switch (role) {
    case Role::diffusion:
      return "diffusion";
    case Role::flow_map:
      return "flow_map";
    case Role::consistency:
      break;
  }
  return "consistency";
}

const char* name_of(Modality modality) {
  switch (modality) {
    case Modality::audio:
      return "audio";
    case Modality::video:
      return "video";
    case Modality::music:
      return "music";
    case Modality::image:
      break;
  }
  return "image";
}

std::map<std::string, std::int64_t> default_sizes(const SampleSpace& space) {
  std::map<std::string, std::int64_t> values;
  for (std::size_t i = 0; i < space.sizes.size(); ++i) {
    if (!space.sizes[i].name.empty()) values[space.sizes[i].name] = space.shape[i] / space.sizes[i].number;
  }
  return values;
}

std::vector<std::int64_t> shape_at(const std::vector<Size>& sizes, const std::map<std::string, std::int64_t>& values) {
  std::vector<std::int64_t> shape;
  for (const Size& size : sizes) {
    const auto value = values.find(size.name);
    if (!size.name.empty() && value == values.end())
      throw Error(ErrorKind::usage, "the free size " + size.name + " has no number");
    shape.push_back(size.number * (size.name.empty() ? 1 : value->second));
  }
  return shape;
}

namespace {

template <typename Is>
const ConditionInfo* find(const ModelInfo& info, Is is) {
  const auto found = std::find_if(info.conditions.begin(), info.conditions.end(), is);
  return found == info.conditions.end() ? nullptr : &*found;
}

}  // namespace

const ConditionInfo* find_condition(const ModelInfo& info, ConditionKind kind) {
  return find(info, [kind](const ConditionInfo& condition) { return condition.kind == kind; });
}

const ConditionInfo* guidance_input(const ModelInfo& info) {
  return find(info, [](const ConditionInfo& condition) {
    return condition.kind == ConditionKind::scalar && condition.name == "guidance";
  });
}

double default_guidance(const ModelInfo& info) {
  const ConditionInfo* input = guidance_input(info);
  return input ? input->default_value : 1;
}

}  // namespace onestep
