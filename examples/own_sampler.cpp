// A sampler of one's own, run by Generator: seeds, batches, labels, progress and files stay as they are. This one is
// the midpoint method on the probability-flow ODE dx/dsigma = (x - D(x, sigma)) / sigma.
#include <iostream>
#include <onestep/generator.hpp>
#include <onestep/save.hpp>
#include <onestep/tensor/custom_sampler.hpp>

using onestep::Tensor;

Tensor midpoint(const onestep::FlowMapFunction& f, const Tensor& start, const onestep::NoiseSource&,
                const std::vector<double>& levels) {
  const onestep::DenoiserFunction D = onestep::denoiser_of(f);
  Tensor x = start;
  for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
    const double t = levels[i], next = levels[i + 1], middle = (t + next) / 2;
    const Tensor half_way = onestep::jump(x, D(x, t), t, middle);
    x = x + (next - t) * (half_way - D(half_way, middle)) / middle;
  }
  return D(x, levels.back());  // to level 0
}

int main(int argc, char** argv) {
  const auto generator = onestep::Generator::load(argc > 1 ? argv[1] : "fashion-teacher");
  onestep::Request request;
  request.seeds = {0, 1, 2, 3, 4, 5, 6, 7};
  request.sampler = std::make_shared<onestep::CustomSampler>(onestep::CustomSampler{
      .name = "midpoint",
      .sample = midpoint,
      .levels = {.steps = 10},
      .calls = [](std::int64_t levels) { return 2 * levels - 1; },
  });
  const onestep::Result result = generator.generate(request);
  onestep::save("midpoint.png", generator.info(), result.samples);
  std::cout << "midpoint.png: " << result.report.sampler << ", " << result.report.nfe << " network calls a sample\n";
}
