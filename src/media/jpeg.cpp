#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

#include "onestep/error.hpp"
#include "output_file.hpp"
#include "picture_file.hpp"

namespace onestep {

void write_jpeg(const std::string& file, const Picture& picture) {
  if (picture.width > 65535 || picture.height > 65535) {
    throw Error(ErrorKind::usage, file + ": " + std::to_string(picture.width) + " x " + std::to_string(picture.height) +
                                      " pixels: a JPEG's sides must be at most 65535; write .png");
  }
  std::vector<std::byte> bytes;
  const auto append = [](void* to, void* data, int size) {
    const auto* begin = static_cast<const std::byte*>(data);
    auto& all = *static_cast<std::vector<std::byte>*>(to);
    all.insert(all.end(), begin, begin + size);
  };
  stbi_write_jpg_to_func(append, &bytes, picture.width, picture.height, picture.channels, picture.pixels.data(), 95);
  write_file(file, bytes);
}

}  // namespace onestep
