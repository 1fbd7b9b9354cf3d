#include <torch/types.h>

#include <numeric>
#include <sstream>

#include "archive.hpp"
#include "model_file.hpp"
#include "onestep/generator.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "onestep/tensor/noise.hpp"
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
