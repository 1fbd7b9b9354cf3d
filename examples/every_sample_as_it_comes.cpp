// Takes each sample as its batch ends: memory does not grow with their number. Usage: every_sample_as_it_comes [MODEL]
#include <iostream>
#include <numeric>
#include <onestep/generator.hpp>

int main(int argc, char** argv) try {
  const auto generator = onestep::Generator::load(argc > 1 ? argv[1] : "fashion");
  onestep::Request request;
  request.batch = 8;
  for (std::uint64_t seed = 0; seed < 20; ++seed) request.seeds.push_back(seed);

  const onestep::Report report = generator.generate_each(request, [&](onestep::Sample&& sample) {
    const float sum = std::accumulate(sample.values.begin(), sample.values.end(), 0.0f);
    std::cout << "seed " << sample.seed << ", label " << sample.label.value_or(-1) << ", mean "
              << sum / static_cast<float>(sample.values.size()) << '\n';
  });
  std::cout << report.count << " samples, " << report.nfe << " network calls each\n";
} catch (const onestep::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
