#include "checked.hpp"

#include <sstream>

#include "levels.hpp"
#include "require.hpp"

namespace onestep {
namespace {

std::string kind_of(const Tensor& x) {
  return std::string(torch::toString(x.scalar_type())) + " on " + x.device().str();
}

std::string at_level(const char* name, double sigma) {
  std::ostringstream text;
  text << name << " at sigma = " << sigma;
  return text.str();
}

void require_defined(const std::string& name, const Tensor& x) {
  if (!x.defined()) refuse(name + " is undefined; it must be a tensor");
  if (x.layout() != torch::kStrided) refuse(name + " must be a dense tensor");
}

}  // namespace

void require_batch(const std::string& name, const Tensor& x) {
  require_defined(name, x);
  if (!x.is_floating_point()) refuse(name + " is " + kind_of(x) + "; it must be of a floating-point type");
  if (x.dim() == 0 || x.numel() == 0)
    refuse(name + " has shape " + shape_text(x.sizes()) + "; it must be [N, ...], with no 0");
}

void require_like(const std::string& name, const Tensor& found, const Tensor& like) {
  require_defined(name, found);
  if (found.sizes() != like.sizes()) {
    refuse(name + " has shape " + shape_text(found.sizes()) + "; it must have that of x: " + shape_text(like.sizes()));
  }
  if (found.scalar_type() != like.scalar_type() || found.device() != like.device()) {
    refuse(name + " is " + kind_of(found) + "; it must be as x is: " + kind_of(like));
  }
}

void require_broadcasts(const std::string& name, const Tensor& found, const Tensor& like) {
  require_defined(name, found);
  bool fits = found.dim() <= like.dim();
  for (std::int64_t i = 1; fits && i <= found.dim(); ++i) {
    fits = found.size(-i) == 1 || found.size(-i) == like.size(-i);
  }
  if (!fits)
    refuse(name + " has shape " + shape_text(found.sizes()) + ", which can't be broadcast to " +
           shape_text(like.sizes()));
  if (found.device() != like.device())
    refuse(name + " is " + kind_of(found) + "; it must be on " + like.device().str());
}

DenoiserFunction checked(const DenoiserFunction& denoiser) {
  if (!denoiser) refuse("the denoiser is empty; it must be a function (x, sigma) -> denoised sample");
  return [&denoiser](const Tensor& x, double sigma) {
    Tensor x0 = denoiser(x, sigma);
    require_like(at_level("the denoiser's result", sigma), x0, x);
    return x0;
  };
}

FlowMapFunction checked(const FlowMapFunction& flow_map) {
  if (!flow_map) refuse("the flow map is empty; it must be a function (x, sigma, target) -> x0");
  return [&flow_map](const Tensor& x, double sigma, double target) {
    Tensor x0 = flow_map(x, sigma, target);
    require_like(at_level("the flow map's result", sigma), x0, x);
    return x0;
  };
}

NoiseSource checked(const NoiseSource& noise, const Tensor& like) {
  return [&noise, like](std::uint32_t draw) {
    const std::string name = "draw " + std::to_string(draw) + " of the noise";
    if (!noise) refuse(name + " is needed, and the source is empty; it must be a function draw -> unit Gaussians");
    Tensor z = noise(draw);
    require_like(name, z, like);
    return z;
  };
}

template <typename Function>
Function checked(const Function& f, const Tensor& x, const std::vector<double>& levels, double lowest) {
  require_falling(levels, lowest);
  require_batch("x", x);
  return checked(f);
}

template DenoiserFunction checked(const DenoiserFunction&, const Tensor&, const std::vector<double>&, double);
template FlowMapFunction checked(const FlowMapFunction&, const Tensor&, const std::vector<double>&, double);

}  // namespace onestep
