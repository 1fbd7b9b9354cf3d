#include "served_models.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "canvas_output.hpp"
#include "edit_tasks.hpp"
#include "onestep/error.hpp"
#include "refusal.hpp"
#include "synthesizer.hpp"
#include "terminal.hpp"
#include "wire.hpp"

namespace onestep {
namespace {

/// `baseline`: the name of the diffusion model that it is compared with, or empty.
Json describe(const ModelInfo& info, const std::string& baseline) {
  Json samplers_of_role = Json::array();
  for (const SamplerDescription& sampler : samplers()) {
    if (std::find(sampler.roles.begin(), sampler.roles.end(), info.role) == sampler.roles.end()) continue;
    Json options = Json::array();
    for (const SamplerOption& option : sampler.options) {
      const auto bounded = [](double value) { return std::isfinite(value) ? Json(value) : Json(); };
      options.push_back({{"name", option.name},
                         {"description", option.description},
                         {"low", bounded(option.low)},
                         {"high", bounded(option.high)},
                         {"default", bounded(option.otherwise)}});
    }
    samplers_of_role.push_back({{"name", sampler.name},
                                {"description", sampler.description},
                                {"steps", sampler.steps},
                                {"options", std::move(options)}});
  }
  const bool pictures = info.data.modality == Modality::image && !info.components.contains("decoder");
  Json edits = Json::array();
  if (pictures && info.role == Role::consistency) {
    for (const EditTask& task : edit_tasks()) {
      if (std::string(task.name) != "colorize" || info.data.shape[0] == 3) edits.push_back(task.name);
    }
    edits.push_back("interpolate");
  }
  // What a plane is painted with: a colour a label (canvas_output.hpp).
  const ConditionInfo* label = find_condition(info, ConditionKind::label);
  Json colours;
  if (pictures && label && label->map && info.sample.halo) {
    for (std::int64_t i = 0; i < info.label_count; ++i) colours.push_back(colour_text(i));
  }
  // Of music: what its rolls mean, and what it can be asked for.
  Json music;
  if (info.data.modality == Modality::music) {
    music = {{"lowest_pitch", info.data.roll.lowest_pitch},
             {"pitches", info.data.shape[1]},
             {"tasks",
              info.role == Role::consistency ? Json{"new", "harmonise", "continue", "vary", "fill"} : Json::array()},
             {"plays", has_synthesizer()}};
  }
  Json steps = Json::array();
  for (const auto& [count, levels] : info.levels) steps.push_back(count);
  return {{"name", info.name},
          {"role", name_of(info.role)},
          {"modality", name_of(info.data.modality)},
          {"shape", info.data.shape},
          {"rate", info.data.rate},
          {"labels", info.label_names},
          {"label_count", info.label_count},
          {"default_sampler", parts_of(default_sampler(info)).name},
          {"samplers", std::move(samplers_of_role)},
          {"recommended_steps", std::move(steps)},
          {"free_sizes", default_sizes(info.sample)},
          {"multiples", info.sample.multiples},
          {"canvas", pictures},
          {"canvas_way", pictures ? Json(info.sample.halo ? "exact" : "windows") : Json()},
          {"halo", info.sample.halo ? Json(*info.sample.halo) : Json()},
          {"label_colours", std::move(colours)},
          {"edits", std::move(edits)},
          {"music", std::move(music)},
          {"baseline", baseline.empty() ? Json() : Json(baseline)}};
}

}  // namespace

ServedModels::ServedModels(std::vector<std::unique_ptr<ServedModel>> models) : models_(std::move(models)) {
  std::set<std::string> names;
  for (const auto& model : models_) {
    const std::string& name = model->generator.info().name;
    if (!names.insert(name).second)
      throw Error(ErrorKind::usage, "two models are named " + name + "; clients could not tell them apart");
  }
}

const ServedModel* ServedModels::first_of(Modality modality) const {
  for (const auto& model : models_) {
    if (model->generator.info().data.modality == modality) return model.get();
  }
  return nullptr;
}

const ServedModel* ServedModels::find(const std::string& name) const {
  for (const auto& model : models_) {
    if (model->generator.info().name == name) return model.get();
  }
  return nullptr;
}

const ServedModel& ServedModels::named(const std::string& name) const {
  if (const ServedModel* model = find(name)) return *model;
  std::string names;
  for (const auto& model : models_) names += (names.empty() ? "" : ", ") + model->generator.info().name;
  throw Refusal{422, "model " + shown(name) + " is unknown; there are " + names};
}

const ServedModel& ServedModels::take(nlohmann::ordered_json& body) const {
  const std::optional<std::string> name = take_text(body, "model");
  return name ? named(*name) : first();
}

nlohmann::ordered_json ServedModels::described() const {
  Json list = Json::array();
  for (const auto& model : models_) {
    const std::string baseline = model->generator.info().name + "-teacher";
    list.push_back(describe(model->generator.info(), find(baseline) ? baseline : ""));
  }
  return list;
}

}  // namespace onestep
