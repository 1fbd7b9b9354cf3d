// Loads the model it is given and draws one sample of it.
#include <iostream>
#include <onestep/generator.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  const auto generator = onestep::Generator::load(argv[1]);
  onestep::Request request;
  request.seeds = {7};
  const onestep::Result result = generator.generate(request);
  std::cout << generator.info().name << ": " << result.samples.at(0).values.size() << " values\n";
} catch (const onestep::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
