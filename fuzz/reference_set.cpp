// Arrays, as `tune` reads them; the file's extension says which kind.
#include "reference_set.hpp"

#include <stdlib.h>

#include <cmath>
#include <filesystem>

#include "only_errors.hpp"
#include "output_file.hpp"

namespace {

/// A file in memory, or what comes nearest; gone with the program.
struct Place {
  std::string folder;

  Place() {
    std::string name =
        std::filesystem::exists("/dev/shm") ? "/dev/shm/onestep-fuzz-XXXXXX" : "/tmp/onestep-fuzz-XXXXXX";
    if (!mkdtemp(name.data())) std::abort();
    folder = name;
  }
  ~Place() { std::filesystem::remove_all(folder); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  static const Place place;
  const std::string file = place.folder + "/a" + ONESTEP_EXTENSION;
  write_file(file, as_bytes(data, size));
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
