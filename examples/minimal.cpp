// Ten lines from a model to a picture: 16 garments, one network call each. Usage: minimal [MODEL]
#include <onestep/generator.hpp>
#include <onestep/save.hpp>

int main(int argc, char** argv) {
  const auto generator = onestep::Generator::load(argc > 1 ? argv[1] : "fashion");
  onestep::Request request;
  for (std::uint64_t seed = 0; seed < 16; ++seed) request.seeds.push_back(seed);
  const onestep::Result result = generator.generate(request);
  onestep::save("garments.png", generator.info(), result.samples);
}
