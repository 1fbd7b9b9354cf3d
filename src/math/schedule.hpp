#pragma once

#include <string>
#include <vector>

#include "onestep/model_info.hpp"

namespace onestep {

/// `steps` noise levels from sigma_max down to sigma_min (Karras et al. 2022, Eq. 5, without the final 0); the ends are
/// exact. steps >= 1; one step is sigma_max alone. 0 < sigma_min < sigma_max; rho > 0, 7 in the paper.
std::vector<double> karras_levels(int steps, double sigma_min, double sigma_max, double rho);

/// A way to space noise levels: a row of the table in schedule.cpp.
struct Schedule {
  std::string name;
  std::string for_models;
  std::string description;
  bool (*suits)(const ModelInfo& info);
  /// Ends at sigma_min, where a consistency model has nothing left to denoise.
  bool ends_at_sigma_min;
  std::vector<double> (*levels)(const ModelInfo& info, int steps);
};

const std::vector<Schedule>& schedules();

/// The schedule of that name; for an empty name, the one that fits the model's own time. Throws Error (usage) on an
/// unknown name and on one that does not suit the model.
const Schedule& find_schedule(const std::string& name, const ModelInfo& info);

/// Levels of `steps` >= 1 steps. Throws Error (usage) on more steps than a model with timesteps has.
std::vector<double> schedule_levels(const Schedule& schedule, const ModelInfo& info, int steps);

}  // namespace onestep
