#include <torch/types.h>

#include <numeric>
#include <sstream>

#include "archive.hpp"
#include "model_file.hpp"
#include "onestep/generator.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "onestep/tensor/noise.hpp"
#include "onestep/tensor/sampler.hpp"
#include "parts.hpp"
#include "preconditioning.hpp"
#include "schedule.hpp"
#include "torch_error.hpp"
#include "torchscript_network.hpp"

namespace onestep {
namespace {

Check check(const std::string& claim, double found, double allowed) {
  std::ostringstream text;
  text << found << ", allowed " << allowed;
  return {claim, found <= allowed, text.str()};  // false for NaN
}

double largest(const Tensor& x) { return x.abs().max().item<double>(); }

/// The middle of the axes of a plane, without `margin` at each end.
Tensor middle(Tensor x, std::int64_t axes, std::int64_t margin) {
  for (std::int64_t axis = 1; axis <= axes; ++axis) x = x.narrow(-axis, margin, x.size(-axis) - 2 * margin);
  return x;
}

/// What a canvas trusts in: beyond the halo nothing is seen, and no place is another. `f` takes samples of any size.
std::vector<Check> check_halo(const DenoiserFunction& f, const ModelInfo& info, torch::Device device) {
  const std::int64_t axes = info.sample.shape.size() == 2 ? 1 : 2, halo = *info.sample.halo;
  std::int64_t step = 1;
  for (const auto& [name, multiple] : info.sample.multiples) step = std::lcm(step, multiple);
  // A middle of two steps, the halo, and further what may not be seen.
  const std::int64_t beyond = (halo / step + 1) * step, side = 2 * step + 2 * beyond;
  std::vector<std::int64_t> shape = info.sample.shape;
  for (std::int64_t axis = 1; axis <= axes; ++axis) shape[shape.size() - static_cast<std::size_t>(axis)] = side + step;
  const double scale = initial_scale(info, info.sigma_max);
  const Tensor field = on_device(scale * seeded_noise({0}, shape)(0), device);
  Tensor here = field, there = field;
  for (std::int64_t axis = 1; axis <= axes; ++axis) {
    here = here.narrow(-axis, 0, side);
    there = there.narrow(-axis, step, side);
  }
  Tensor changed = here + scale;
  middle(changed, axes, beyond - halo).copy_(middle(here, axes, beyond - halo));
  const Tensor drawn = f(here.contiguous(), info.sigma_max), moved = f(there.contiguous(), info.sigma_max);
  Tensor second = middle(drawn, axes, beyond), first = middle(moved, axes, beyond);
  for (std::int64_t axis = 1; axis <= axes; ++axis) {
    second = second.narrow(-axis, step, step);
    first = first.narrow(-axis, 0, step);
  }
  // Another order of sums, in a range of 2: what is seen from afar moves more than that.
  constexpr double rounding = 1e-4;
  return {check("beyond its halo of " + std::to_string(halo) + " pixels nothing is seen",
                largest(middle(f(changed, info.sigma_max) - drawn, axes, beyond)), rounding),
          check("the same wherever it is, moved by " + std::to_string(step) + (step == 1 ? " pixel" : " pixels"),
                largest(second - first), rounding)};
}
double root_mean_square(const Tensor& x) { return x.square().mean().sqrt().item<double>(); }

}  // namespace

std::vector<Check> Generator::check() const {
  const auto& [file, info, device, network, decoder, text_encoder, precision] = *parts_;
  return translated(file, [&, &file = file, &info = info, &network = network, device = device] {
    const torch::InferenceMode guard;
    const std::vector<std::uint64_t> seeds{0, 1, 2, 3, 4, 5, 6, 7};
    const auto n = static_cast<std::int64_t>(seeds.size());
    const Condition condition = trial_condition(info, n);
    const Denoiser f(*network, info, condition);
    const Tensor z = on_device(seeded_noise(seeds, info.sample.shape)(0), device);
    const auto all_finite = [](const Tensor& x) { return x.isfinite().all().item<bool>(); };

    std::vector<Check> checks;
    std::vector<std::string> files{file};
    if (!info.components.empty()) files.clear();
    for (const auto& [component, name] : info.components) files.push_back(component_file(file, info, component));
    std::string damaged;
    for (const std::string& part_of : files) {
      for (const std::string& part : damaged_parts(part_of)) damaged += (damaged.empty() ? "" : ", ") + part;
    }
    checks.push_back({"all parts of the file are as they were written, by their CRC-32", damaged.empty(),
                      damaged.empty() ? "all are" : damaged + " differs: copy or export it again"});
    const Tensor start = initial_scale(info, info.sigma_max) * z;
    for (const double sigma : {info.sigma_min, info.sigma_max}) {
      std::ostringstream claim;
      claim << "finite at sigma = " << sigma;
      const bool finite = all_finite(f(sigma < info.sigma_max ? sigma * z : start, sigma));
      checks.push_back({claim.str(), finite, finite ? "all values are" : "NaN or infinity"});
    }

    const Tensor drawn = f(start, info.sigma_max, 0);
    Condition first = condition;
    if (first.label.defined()) first.label = first.label.narrow(0, 0, 1);
    for (auto& [name, value] : first.others) value = value.narrow(0, 0, 1);
    const auto check_rows = [&](const std::string& claim, Network& run, const Tensor& together) {
      const Tensor alone = Denoiser(run, info, first)(start.narrow(0, 0, 1), info.sigma_max, 0);
      // As on loading: kernels may sum in another order for another batch size, and not more.
      checks.push_back(onestep::check(claim, largest(alone - together.narrow(0, 0, 1)), 1e-3));
    };
    check_rows("the same alone and in a batch", *network, drawn);
    // The engine keeps samples apart by itself; a network may not.
    const auto as_it_is =
        load_torchscript(component_file(file, info, "denoiser"), info, {.device = device, .compile = false}).network;
    check_rows("the same alone and in a batch, as libtorch runs it", *as_it_is,
               Denoiser(*as_it_is, info, condition)(start, info.sigma_max, 0));

    if (info.sample.halo && !default_sizes(info.sample).empty()) {
      const Denoiser alone(*network, info, first);
      const auto to_end = [&](const Tensor& x, double sigma) { return alone(x, sigma, 0); };
      for (Check& one : check_halo(to_end, info, device)) checks.push_back(std::move(one));
    }

    if (info.role == Role::consistency) {
      const double boundary = info.boundary_sigma > 0 ? info.boundary_sigma : info.sigma_min;
      const Tensor x = drawn.clamp(info.data.range_low, info.data.range_high);
      // Exact for a boundary above 0; without one, only as near as the level is to 0.
      const double allowed = info.boundary_sigma > 0 ? 1e-6 : 3 * boundary;
      checks.push_back(onestep::check("f(x, boundary) = x", largest(f(x, boundary) - x), allowed));

      // Neighbouring points, as a consistency model is trained on: the same noise at two of 18 levels.
      const std::vector<double> levels = karras_levels(18, info.sigma_min, info.sigma_max, info.rho);
      double worst = 0;
      Tensor before;
      for (const double sigma : levels) {
        const Tensor end = f(x + sigma * z, sigma);
        if (before.defined()) worst = std::max(worst, root_mean_square(end - before));
        before = end;
      }
      // Ends that have nothing to do with each other differ by sqrt(2) sigma_data; half sigma_data tells them apart.
      checks.push_back(onestep::check("self-consistency: root-mean-square step between 18 neighbouring levels", worst,
                                      info.sigma_data / 2));
    }
    return checks;
  });
}

EngineReport Generator::engine(std::int64_t batch) const {
  const auto& [file, info, device, network, decoder, text_encoder, precision] = *parts_;
  constexpr std::int64_t most = 65536;  // what is measured there stays the same beyond
  if (batch < 1 || batch > most)
    throw Error(ErrorKind::usage,
                "batch = " + std::to_string(batch) + " must lie in [1, " + std::to_string(most) + "]");
  return translated(file, [&, &info = info, &network = network, device = device] {
    const torch::InferenceMode guard;
    std::vector<std::uint64_t> seeds(static_cast<std::size_t>(batch));
    std::iota(seeds.begin(), seeds.end(), 0);
    const Tensor x = on_device(seeded_noise(seeds, info.sample.shape)(0), device);
    return network->report(network_input(info, x, info.sigma_max, 0, trial_condition(info, batch)));
  });
}

}  // namespace onestep
