#include "only_errors.hpp"
#include "picture_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  only_errors([&] {
    const PictureValues picture = decode_picture(as_bytes(data, size), "picture");
    for (const float value : picture.values) {
      if (!(value >= 0 && value <= 1)) __builtin_trap();
    }
    const PictureValues fitted = fit_picture(picture, 3, 2, Fit::pad);
    to_sample(fitted, 4, -1, 1, "picture");
    to_sample(fitted, 1, -1, 1, "picture");
  });
  return 0;
}
