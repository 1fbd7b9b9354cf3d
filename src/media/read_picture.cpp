#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#include <stb/stb_image.h>

#include <memory>

#include "input_file.hpp"
#include "onestep/error.hpp"
#include "picture_file.hpp"

namespace onestep {
namespace {

/// stb_image fills what a short file lacks with grey and says nothing, but it asks for the missing bytes.
struct Source {
  std::ifstream& stream;
  std::uint64_t size, at = 0;
  bool ran_out = false;
};

int read_some(void* user, char* data, int size) {
  auto& source = *static_cast<Source*>(user);
  source.stream.read(data, size);
  const auto read = static_cast<int>(source.stream.gcount());
  source.at += read;
  source.ran_out |= read == 0;
  return read;
}

void skip(void* user, int size) {
  auto& source = *static_cast<Source*>(user);
  source.at += size;
  source.ran_out |= source.at > source.size;
  source.stream.seekg(size, std::ios::cur);
}

int at_end(void* user) { return static_cast<Source*>(user)->stream.peek() == std::ifstream::traits_type::eof(); }

}  // namespace

Picture read_picture(const std::string& file) {
  InputFile input(file);
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, file + ": " + what); };
  const stbi_io_callbacks callbacks{read_some, skip, at_end};

  Picture picture;
  Source header{input.stream, input.size};
  if (!stbi_info_from_callbacks(&callbacks, &header, &picture.width, &picture.height, &picture.channels)) {
    if (header.ran_out) fail("is cut short in its header; copy or make it again");
    fail("is no PNG, JPEG or BMP picture (" + std::string(stbi_failure_reason()) + ")");
  }
  constexpr std::int64_t most = std::int64_t{1} << 26;
  if (std::int64_t{picture.width} * picture.height > most) {
    fail("has " + std::to_string(picture.width) + " x " + std::to_string(picture.height) + " pixels, but at most " +
         std::to_string(most) + " are read; make it smaller");
  }

  // Grey or colour; what is left is transparency.
  picture.channels = picture.channels < 3 ? 1 : 3;
  input.stream.clear();
  input.stream.seekg(0);
  Source source{input.stream, input.size};
  int channels_in_file;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_callbacks(&callbacks, &source, &picture.width, &picture.height, &channels_in_file,
                               picture.channels),
      stbi_image_free);
  const std::string reason = pixels ? "" : stbi_failure_reason();
  // A PNG's chunk that ends early is noticed by stb_image itself.
  if (source.ran_out || reason == "outofdata") {
    fail("is cut short: the picture needs more than its " + std::to_string(input.size) + " bytes");
  }
  if (!pixels) fail("is damaged (" + reason + "); copy or make it again");
  const std::size_t size = std::size_t(picture.width) * picture.height * picture.channels;
  picture.pixels.assign(pixels.get(), pixels.get() + size);
  return picture;
}

}  // namespace onestep
