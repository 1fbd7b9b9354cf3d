#include "metadata.hpp"

#include "only_errors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  only_errors([&] { parse_metadata(as_text(data, size), "model.pt"); });
  return 0;
}
