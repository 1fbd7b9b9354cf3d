#include "reference_set.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <memory>

#include "array_file.hpp"
#include "input_file.hpp"
#include "onestep/error.hpp"
#include "picture_file.hpp"
#include "values.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw Error(ErrorKind::file, file + ": " + what);
}

std::string extension_of(const fs::path& path) {
  std::string text = path.extension().string();
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

float value_of(std::uint8_t byte, const SampleFormat& format) {
  return static_cast<float>(format.low + byte / 255.0 * (format.high - format.low));
}

std::size_t size_of(const SampleFormat& format) {
  std::size_t size = 1;
  for (const std::int64_t side : format.shape) size *= static_cast<std::size_t>(side);
  return size;
}

/// Which of `count` to take when `most` are wanted, evenly.
std::vector<std::size_t> choose(std::size_t count, std::size_t most) {
  std::vector<std::size_t> chosen;
  const std::size_t taken = std::min(count, most);
  for (std::size_t i = 0; i < taken; ++i) chosen.push_back(i * count / taken);
  return chosen;
}

std::vector<float> read_folder(const std::string& folder, const SampleFormat& format, std::size_t most) {
  if (format.modality != Modality::image)
    fail(folder, std::string("a folder holds pictures, but the model makes ") + name_of(format.modality));
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string extension = extension_of(entry.path());
    for (const char* known : {".png", ".jpg", ".jpeg", ".bmp"}) {
      if (extension == known) files.push_back(entry.path());
    }
  }
  if (files.empty()) fail(folder, "has no PNG, JPEG or BMP pictures");
  std::sort(files.begin(), files.end());
  std::vector<float> values;
  for (const std::size_t i : choose(files.size(), most)) {
    const Picture picture = read_picture(files[i]);
    const std::vector<std::int64_t> shape{picture.channels, picture.height, picture.width};
    if (shape != format.shape) {
      fail(files[i], "has shape " + shape_text(shape) + " (channels, height, width), but the model makes " +
                         shape_text(format.shape) + "; resize or convert it");
    }
    const std::size_t pixels = picture.pixels.size() / picture.channels;
    for (int c = 0; c < picture.channels; ++c) {
      for (std::size_t p = 0; p < pixels; ++p) {
        values.push_back(value_of(picture.pixels[p * picture.channels + c], format));
      }
    }
  }
  return values;
}

std::vector<float> read_array(const FloatArray& array, const std::string& file, const SampleFormat& format,
                              std::size_t most) {
  const bool fits = array.shape.size() == format.shape.size() + 1 &&
                    std::equal(format.shape.begin(), format.shape.end(), array.shape.begin() + 1);
  if (!fits) {
    fail(file,
         "has shape " + shape_text(array.shape) + ", but must be [M, ...] with ... = " + shape_text(format.shape));
  }
  const std::size_t size = size_of(format);
  std::vector<float> values;
  for (const std::size_t i : choose(static_cast<std::size_t>(array.shape[0]), most)) {
    const float* sample = array.values.data() + i * size;
    values.insert(values.end(), sample, sample + size);
  }
  return values;
}

/// Two zero bytes, type 8 (bytes), the number of sizes, the sizes in 4 bytes each, the highest first; then the bytes.
std::vector<float> read_idx(const std::string& file, const SampleFormat& format, std::size_t most) {
  { const InputFile exists(file); }
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> stream(gzopen(file.c_str(), "rb"), gzclose);
  if (!stream) fail(file, "can't be read");
  const auto read = [&](auto& bytes) {
    if (gzread(stream.get(), bytes.data(), static_cast<unsigned>(bytes.size())) != static_cast<int>(bytes.size())) {
      fail(file, "is cut short or damaged; copy or make it again");
    }
  };
  std::array<unsigned char, 4> word;
  read(word);
  if (word[0] != 0 || word[1] != 0 || word[2] != 8) {
    fail(file, "is none of a folder of pictures, a .npy, a .npz and an IDX file of bytes");
  }
  std::vector<std::int64_t> shape(word[3]);
  for (std::int64_t& side : shape) {
    read(word);
    side = std::int64_t{word[0]} << 24 | word[1] << 16 | word[2] << 8 | word[3];
  }
  // Grey pictures are [M, H, W] there.
  std::vector<std::int64_t> expected = format.shape;
  if (expected.size() == 3 && expected[0] == 1 && shape.size() == 3) expected.erase(expected.begin());
  if (shape.size() != expected.size() + 1 || !std::equal(expected.begin(), expected.end(), shape.begin() + 1)) {
    fail(file, "has shape " + shape_text(shape) + ", but the model makes " + shape_text(format.shape));
  }
  std::vector<float> values;
  std::vector<unsigned char> sample(size_of(format));
  std::size_t at = 0;
  for (const std::size_t i : choose(static_cast<std::size_t>(shape[0]), most)) {
    for (; at <= i; ++at) read(sample);
    for (const unsigned char byte : sample) values.push_back(value_of(byte, format));
  }
  return values;
}

}  // namespace

std::vector<float> read_reference_set(const std::string& path, const SampleFormat& format, std::size_t most) {
  if (fs::is_directory(path)) return read_folder(path, format, most);
  if (extension_of(path) == ".npy") return read_array(read_npy(path), path, format, most);
  if (extension_of(path) == ".npz") return read_array(read_npz(path, "samples"), path, format, most);
  return read_idx(path, format, most);
}

}  // namespace onestep
