// Editing under an observation of one's own: the low frequencies of a picture are kept, the model draws the rest. A
// picture's coordinates are those of its discrete cosine transform, an orthonormal basis.
#include <cmath>
#include <iostream>
#include <numbers>
#include <onestep/save.hpp>
#include <onestep/tensor/consistency.hpp>
#include <onestep/tensor/denoiser.hpp>
#include <onestep/tensor/editing.hpp>
#include <onestep/tensor/model.hpp>
#include <onestep/tensor/noise.hpp>

/// Row k holds cos(pi (i + 1/2) k / n), of length 1.
torch::Tensor cosines(std::int64_t n) {
  const torch::Tensor k = torch::arange(n).unsqueeze(1), i = torch::arange(n) + 0.5;
  const torch::Tensor rows = torch::cos(std::numbers::pi / static_cast<double>(n) * k * i);
  return rows / rows.norm(2, 1, true);
}

int main(int argc, char** argv) {
  onestep::Model model = onestep::load_model(argc > 1 ? argv[1] : "fashion");
  const std::int64_t height = model.info.sample.shape[1], width = model.info.sample.shape[2], kept = 6, seeds = 8;
  const torch::Tensor label = torch::full({seeds}, 4, torch::kInt64);  // a coat
  const onestep::Denoiser f(*model.network, model.info, {.label = label});

  // A coat to look at, the same in every row.
  const double sigma = model.info.sigma_max;
  const torch::Tensor coat =
      f(sigma * onestep::seeded_noise(std::vector<std::uint64_t>(seeds, 7), model.info.sample.shape)(0), sigma);

  const torch::Tensor rows = cosines(height), columns = cosines(width);
  onestep::Observation low;
  low.to_basis = [=](const torch::Tensor& x) { return rows.matmul(x).matmul(columns.t()); };
  low.from_basis = [=](const torch::Tensor& u) { return rows.t().matmul(u).matmul(columns); };
  low.mask = torch::zeros({height, width});
  low.mask.slice(0, 0, kept).slice(1, 0, kept).fill_(1);
  low.known = low.to_basis(coat);

  const onestep::NoiseSource z = onestep::seeded_noise({0, 1, 2, 3, 4, 5, 6, 7}, model.info.sample.shape);
  const double epsilon = onestep::renoise_epsilon(model.info);
  const torch::Tensor drawn = onestep::sample_edit(f, sigma * z(0), z, {sigma, 24.4, 5.8, 0.96}, epsilon, low);

  std::vector<onestep::Sample> samples(seeds);
  for (std::int64_t i = 0; i < seeds; ++i) {
    const torch::Tensor values = (i == 0 ? coat[0] : drawn[i]).contiguous();  // the coat first
    const float* data = values.const_data_ptr<float>();
    samples[i].values.assign(data, data + values.numel());
  }
  onestep::save("coats.png", model.info, samples, {.columns = 8, .enlarge = 4});
  const double error = ((low.to_basis(drawn) - low.known) * low.mask).abs().max().item<double>();
  std::cout << "coats.png: " << kept * kept << " of " << height * width << " frequencies kept, to " << error << '\n';
  return error < 1e-4 ? 0 : 1;  // float32 sums of 28 products of up to 28, twice
}
