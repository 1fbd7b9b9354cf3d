#include "onestep/model_info.hpp"

#include <algorithm>

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
    case Modality::image:
      break;
  }
  return "image";
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
