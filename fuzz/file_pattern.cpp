#include "file_pattern.hpp"

#include "only_errors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  const std::string pattern = as_text(data, size);
  only_errors([&] {
    const std::string one = file_of_seed(pattern, 1), other = file_of_seed(pattern, 18446744073709551615U);
    if (one == other) __builtin_trap();  // two samples under one name
  });
  return 0;
}
