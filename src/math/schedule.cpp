#include "schedule.hpp"

#include <algorithm>
#include <cmath>

#include "noise_input.hpp"
#include "onestep/error.hpp"

namespace onestep {
namespace {

bool always(const ModelInfo&) { return true; }
bool has_timesteps(const ModelInfo& info) { return !info.timestep_sigmas.empty(); }
bool has_own_time(const ModelInfo& info) { return info.prediction == "flow" || info.prediction == "trigflow"; }

template <typename At>
std::vector<double> levels_at(int steps, At at) {
  std::vector<double> levels;
  for (int i = 0; i < steps; ++i) levels.push_back(at(i));
  return levels;
}

std::vector<double> karras(const ModelInfo& info, int steps) {
  return karras_levels(steps, info.sigma_min, info.sigma_max, info.rho);
}

std::vector<double> linear(const ModelInfo& info, int steps) {
  return karras_levels(steps, info.sigma_min, info.sigma_max, 1);
}

std::vector<double> exponential(const ModelInfo& info, int steps) {
  auto levels = levels_at(steps, [&](int i) {
    return info.sigma_max * std::pow(info.sigma_min / info.sigma_max, i / std::max(steps - 1.0, 1.0));
  });
  if (steps > 1) levels.back() = info.sigma_min;
  return levels;
}

std::vector<double> uniform(const ModelInfo& info, int steps) {
  const bool flow = info.prediction == "flow";
  // A flow's tau before its shift to s tau / (1 + (s - 1) tau).
  const double s = info.flow_shift, shifted = flow_time_of(info, info.sigma_max);
  const double last = flow ? shifted / (s - (s - 1) * shifted) : std::atan(info.sigma_max / info.sigma_data);
  auto levels = levels_at(steps, [&](int i) {
    const double t = last * (1 - static_cast<double>(i) / steps);
    if (!flow) return info.sigma_data * std::tan(t);
    const double tau = s * t / (1 + (s - 1) * t);
    return info.flow_noise_scale * tau / (1 - tau);
  });
  levels.front() = info.sigma_max;
  return levels;
}

// The three of Lin et al. 2023, Table 2, over the timesteps 0..T-1.
std::vector<double> at_timesteps(const ModelInfo& info, int steps, double (*timestep)(double T, double n, int i)) {
  const auto count = static_cast<double>(info.timestep_sigmas.size());
  return levels_at(steps, [&](int i) {
    return info.timestep_sigmas[static_cast<std::size_t>(std::lround(timestep(count, steps, i)))];
  });
}

std::vector<double> leading(const ModelInfo& info, int steps) {
  return at_timesteps(info, steps, [](double T, double n, int i) { return std::floor(T / n) * (n - 1 - i); });
}

std::vector<double> linspace(const ModelInfo& info, int steps) {
  return at_timesteps(info, steps, [](double T, double n, int i) { return (T - 1) * (1 - i / std::max(n - 1, 1.0)); });
}

std::vector<double> trailing(const ModelInfo& info, int steps) {
  // std::nearbyint: halves go to the even number, as numpy rounds them.
  return at_timesteps(info, steps, [](double T, double n, int i) { return std::nearbyint(T - i * (T / n)) - 1; });
}

}  // namespace

std::vector<double> karras_levels(int steps, double sigma_min, double sigma_max, double rho) {
  const double first = std::pow(sigma_max, 1 / rho);
  const double last = std::pow(sigma_min, 1 / rho);
  auto levels =
      levels_at(steps, [&](int i) { return std::pow(first + i / std::max(steps - 1.0, 1.0) * (last - first), rho); });
  levels.front() = sigma_max;
  if (steps > 1) levels.back() = sigma_min;
  return levels;
}

const std::vector<Schedule>& schedules() {
  static const std::vector<Schedule> table{
      {"karras", "any", "Karras et al. 2022, Eq. 5, with the model's rho", always, true, karras},
      {"exponential", "any", "even in log sigma, which is even in log-SNR", always, true, exponential},
      {"linear", "any", "even in sigma", always, true, linear},
      {"uniform", "flow and trigflow", "even in the model's own time", has_own_time, false, uniform},
      {"leading", "with timesteps", "every k-th timestep, from 0 up", has_timesteps, false, leading},
      {"linspace", "with timesteps", "even from the last timestep to 0", has_timesteps, false, linspace},
      {"trailing", "with timesteps", "every k-th timestep, from the last down", has_timesteps, false, trailing},
  };
  return table;
}

const Schedule& find_schedule(const std::string& name, const ModelInfo& info) {
  const std::string own = has_timesteps(info) ? "trailing" : has_own_time(info) ? "uniform" : "karras";
  std::string suitable;
  for (const Schedule& schedule : schedules()) {
    if (!schedule.suits(info)) continue;
    if (schedule.name == (name.empty() ? own : name)) return schedule;
    suitable += (suitable.empty() ? "" : ", ") + schedule.name;
  }
  throw Error(ErrorKind::usage, "schedule " + name + " is none that " + info.name + " can use: " + suitable);
}

std::vector<double> schedule_levels(const Schedule& schedule, const ModelInfo& info, int steps) {
  if (schedule.suits == has_timesteps && static_cast<std::size_t>(steps) > info.timestep_sigmas.size()) {
    throw Error(ErrorKind::usage, "steps = " + std::to_string(steps) + " must be at most " + info.name + "'s " +
                                      std::to_string(info.timestep_sigmas.size()) + " timesteps");
  }
  return schedule.levels(info, steps);
}

}  // namespace onestep
