#include "reference_set.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <memory>
#include <numeric>
#include <span>
#include <sstream>

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
  // floor(i * count / taken), without the product, which a damaged file's count could make too large.
  for (std::size_t i = 0; i < taken; ++i) chosen.push_back(i * (count / taken) + i * (count % taken) / taken);
  return chosen;
}

[[noreturn]] void fail_to_read(const std::string& path, const std::error_code& reason) {
  fail(path, "can't be read: " + reason.message() + "; give a folder that you may read, with all that is in it");
}

/// The pictures in a folder, by whether they are read. What lies beside pictures and is none is passed over, and so is
/// what is hidden: the copies that some systems keep.
void collect(const fs::path& folder, std::vector<std::string>& read, std::vector<std::string>& not_read) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.filename().string().starts_with('.')) continue;
    std::error_code gone;
    if (entry->symlink_status(gone).type() == fs::file_type::directory) {
      collect(path, read, not_read);
      continue;
    }
    const std::string extension = extension_of(path);
    for (const char* known : {".png", ".jpg", ".jpeg", ".bmp"}) {
      if (extension == known) read.push_back(path.string());
    }
    for (const char* other : {".avif", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".pbm", ".pgm", ".pnm", ".ppm", ".tga",
                              ".tif", ".tiff", ".webp"}) {
      if (extension == other) not_read.push_back(path.string());
    }
  }
  if (error) fail_to_read(folder.string(), error);
}

std::vector<float> read_folder(const std::string& folder, const SampleFormat& format, std::size_t most) {
  if (format.modality != Modality::image)
    fail(folder, std::string("a folder holds pictures, but the model makes ") + name_of(format.modality));
  std::vector<std::string> files, others;
  collect(folder, files, others);
  if (!others.empty()) {
    fail(*std::min_element(others.begin(), others.end()),
         "is a picture, but of a kind that is not read; make it a PNG, or take it out of the folder");
  }
  if (files.empty()) fail(folder, "has no PNG, JPEG or BMP pictures");
  std::sort(files.begin(), files.end());
  std::vector<float> values;
  for (const std::size_t i : choose(files.size(), most)) {
    const PictureValues picture = read_picture(files[i]);
    if (picture.height != format.shape[1] || picture.width != format.shape[2]) {
      fail(files[i], "has " + std::to_string(picture.width) + " x " + std::to_string(picture.height) +
                         " pixels, but the model makes " + std::to_string(format.shape[2]) + " x " +
                         std::to_string(format.shape[1]) + "; resize it");
    }
    const std::vector<float> sample = to_sample(picture, format.shape[0], format.low, format.high, files[i]);
    values.insert(values.end(), sample.begin(), sample.end());
  }
  return values;
}

std::vector<float> read_array(ArrayFile array, const std::string& file, const SampleFormat& format, std::size_t most) {
  const auto& shape = array.shape();
  if (shape.size() != format.shape.size() + 1 ||
      !std::equal(format.shape.begin(), format.shape.end(), shape.begin() + 1)) {
    fail(file, "has shape " + shape_text(shape) + ", but must be [M, ...] with ... = " + shape_text(format.shape));
  }
  const auto count = static_cast<std::size_t>(shape[0]);
  const std::vector<std::size_t> chosen = choose(count, most);
  std::vector<float> values, sample(size_of(format));
  double sum = 0;
  auto next = chosen.begin();
  for (std::size_t i = 0; i < count; ++i) {
    array.read(sample);
    if (next == chosen.end() || *next != i) continue;
    ++next;
    require_finite(sample, sample.size(), file, i);
    sum = std::accumulate(sample.begin(), sample.end(), sum);
    values.insert(values.end(), sample.begin(), sample.end());
  }
  const double mean = sum / static_cast<double>(values.size());
  if (mean < format.low || mean > format.high) {
    std::ostringstream message;
    message << "the mean of its values, " << mean << ", lies outside the model's range [" << format.low << ", "
            << format.high << "]; scale them to it";
    fail(file, message.str());
  }
  return values;
}

/// Two zero bytes, type 8 (bytes), the number of sizes, the sizes in 4 bytes each, the highest first; then the bytes.
std::vector<float> read_idx(const std::string& file, const SampleFormat& format, std::size_t most) {
  { const InputFile exists(file); }
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> stream(gzopen(file.c_str(), "rb"), gzclose);
  if (!stream) fail(file, "can't be read");
  const auto read = [&](std::span<unsigned char> bytes) {
    if (gzfread(bytes.data(), 1, bytes.size(), stream.get()) != bytes.size()) {
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
  std::error_code unreachable;  // as the readers say
  if (fs::is_directory(path, unreachable)) return read_folder(path, format, most);
  const std::string extension = extension_of(path);
  if (extension == ".npy") return read_array(ArrayFile(path), path, format, most);
  if (extension == ".npz") return read_array(ArrayFile(path, "samples"), path, format, most);
  return read_idx(path, format, most);
}

}  // namespace onestep
