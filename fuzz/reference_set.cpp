// Arrays, as `tune` reads them; the file's extension says which kind.
#include "reference_set.hpp"

#include <cmath>

#include "written_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  const std::string file = written_file(std::string("a") + ONESTEP_EXTENSION, data, size);
  constexpr std::size_t most = 3;
  for (const SampleFormat& format : {SampleFormat{Modality::image, {1, 2, 2}}, SampleFormat{Modality::audio, {2, 1}}}) {
    only_errors([&] {
      const std::vector<float> values = read_reference_set(file, format, most);
      if (values.size() > 4 * most) __builtin_trap();
      for (const float value : values) {
        if (!std::isfinite(value)) __builtin_trap();
      }
    });
  }
  return 0;
}
