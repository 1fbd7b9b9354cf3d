// A model file before libtorch reads it: what it is if it is none, whether its code can be read, and what is damaged.
#include "archive.hpp"

#include "other_files.hpp"
#include "written_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  const std::string file = written_file("model.pt", data, size);
  other_kind_of_file(file);
  only_errors([&] { require_readable(file); });
  only_errors([&] { damaged_parts(file); });
  return 0;
}
