// What is written on the command line in a grammar of its own: seeds and levels. The first byte says which.
#include "grammar.hpp"

#include <CLI/CLI.hpp>

#include "only_errors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  if (size == 0) return 0;
  const std::string text = as_text(data + 1, size - 1);
  only_errors([&] {
    switch (data[0] % 2) {
      case 0: {
        const std::vector<std::uint64_t> seeds = choose_seeds(text, std::nullopt, 1);
        if (seeds.empty() || seeds.size() > 10'000'000) __builtin_trap();
        break;
      }
      case 1: {
        // As SamplerArguments has it.
        CLI::App app;
        std::vector<double> levels;
        app.add_option("--levels", levels)->delimiter(',');
        try {
          app.parse(std::vector<std::string>{text, "--levels"});
        } catch (const CLI::ParseError&) {
        }
        break;
      }
    }
  });
  return 0;
}
