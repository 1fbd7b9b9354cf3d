#include "reference_set.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
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

/// The number of the k-th sample to be read, k = 0, 1, ..., or none; rising.
using Chosen = std::function<std::optional<std::size_t>(std::size_t k)>;

[[noreturn]] void fail_for_shape(const std::string& file, const std::vector<std::int64_t>& shape,
                                 const std::vector<std::int64_t>& wanted) {
  fail(file, "has shape " + shape_text(shape) + ", but must be [M, ...] with ... = " + shape_text(wanted));
}

/// Whether `shape` is [M, ...] of samples `one`.
bool holds(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& one) {
  return shape.size() == one.size() + 1 && std::equal(one.begin(), one.end(), shape.begin() + 1);
}

}  // namespace

struct ReferenceSet::Source {
  std::string path;
  SampleFormat format;
  std::size_t count = 0;
  std::vector<std::int64_t> labels;  // [count], or empty
  std::vector<std::string> label_names;

  virtual ~Source() = default;
  virtual void read(const Chosen& chosen, const Use& use) const = 0;

  std::optional<std::int64_t> label(std::size_t i) const {
    return labels.empty() ? std::nullopt : std::optional(labels[i]);
  }
};

struct ReferenceSet::Folder : Source {
  Folder(const std::string& folder, const std::optional<SampleFormat>& wanted) {
    path = folder;
    if (wanted) format = *wanted;
    if (format.modality != Modality::image)
      fail(folder, std::string("a folder holds pictures, but the samples are to be ") + name_of(format.modality) +
                       "; give them as .npy or .npz");
    std::vector<std::string> others;
    collect(folder, files_, others);
    if (!others.empty()) {
      fail(*std::min_element(others.begin(), others.end()),
           "is a picture, but of a kind that is not read; make it a PNG, or take it out of the folder");
    }
    if (files_.empty()) fail(folder, "has no PNG, JPEG or BMP pictures");
    std::sort(files_.begin(), files_.end());
    count = files_.size();
    if (!wanted) {
      const PictureValues first = read_picture(files_.front());
      format.shape = {first.channels, first.height, first.width};
    }
    find_labels();
  }

  void read(const Chosen& chosen, const Use& use) const override {
    for (std::size_t k = 0; const auto i = chosen(k); ++k) {
      const std::string& file = files_[*i];
      const PictureValues picture = read_picture(file);
      if (picture.height != format.shape[1] || picture.width != format.shape[2]) {
        fail(file, "has " + std::to_string(picture.width) + " x " + std::to_string(picture.height) +
                       " pixels, but must have " + std::to_string(format.shape[2]) + " x " +
                       std::to_string(format.shape[1]) + "; resize it");
      }
      use({to_sample(picture, format.shape[0], format.low, format.high, file), label(*i)});
    }
  }

 private:
  /// Those of manifest.jsonl, which onestep generate writes; else a folder a label, where all pictures lie in one.
  void find_labels() {
    const std::string manifest = (fs::path(path) / "manifest.jsonl").string();
    std::error_code none;
    if (fs::exists(manifest, none) && fs::file_size(manifest, none) > 0) return read_manifest(manifest);
    for (const std::string& file : files_) {
      const fs::path within = fs::path(file).lexically_relative(path);
      if (std::distance(within.begin(), within.end()) < 2) return;
      label_names.push_back(within.begin()->string());
    }
    std::vector<std::string> of_files = label_names;
    std::sort(label_names.begin(), label_names.end());
    label_names.erase(std::unique(label_names.begin(), label_names.end()), label_names.end());
    for (const std::string& name : of_files)
      labels.push_back(std::lower_bound(label_names.begin(), label_names.end(), name) - label_names.begin());
  }

  void read_manifest(const std::string& manifest) {
    std::map<std::string, std::int64_t> of_files;
    InputFile input(manifest);
    for (std::string text; std::getline(input.stream, text);) {
      const auto line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (!line.is_object() || !line.contains("file") || !line.contains("label"))
        fail(manifest, "line " + text.substr(0, 60) + " is no sample's; take the file away");
      if (line["file"].is_string() && line["label"].is_number_integer())
        of_files[line["file"].get<std::string>()] = line["label"].get<std::int64_t>();
    }
    for (const std::string& file : files_) {
      const auto found = of_files.find(fs::path(file).lexically_relative(path).string());
      if (found == of_files.end()) return labels.clear();
      labels.push_back(found->second);
    }
  }

  std::vector<std::string> files_;
};

struct ReferenceSet::Array : Source {
  Array(const std::string& file, const std::optional<SampleFormat>& wanted) {
    path = file;
    std::string of_labels;
    if (extension_of(file) == ".npz") {
      const std::vector<std::string> names = arrays_of(file);
      const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
      name_ = has("samples") || !has("arr_0") ? "samples" : "arr_0";
      of_labels = name_ == "samples" ? "labels" : "arr_1";
      if (!has(of_labels.c_str())) of_labels.clear();
    }
    const ArrayFile array = open();
    bytes_ = array.type() == ArrayType::uint8;
    std::vector<std::int64_t> shape = array.shape();
    if (bytes_ && shape.size() == 3) shape.push_back(1);
    if (bytes_ && shape.size() != 4) fail(file, "has shape " + shape_text(shape) + ", but bytes must be [M, H, W, C]");
    if (bytes_) shape = {shape[0], shape[3], shape[1], shape[2]};
    if (wanted) {
      format = *wanted;
      if (!holds(shape, format.shape)) fail_for_shape(file, shape, format.shape);
    } else {
      find_format(shape);
    }
    count = static_cast<std::size_t>(shape[0]);
    if (!of_labels.empty()) read_labels(of_labels);
  }

  void read(const Chosen& chosen, const Use& use) const override {
    ArrayFile array = open();
    std::vector<float> sample(size_of(format));
    std::vector<std::uint8_t> pixels(bytes_ ? sample.size() : 0);
    double sum = 0;
    std::size_t k = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto next = chosen(k);
      if (bytes_) {
        array.read(std::span(pixels));
      } else {
        array.read(std::span(sample));
      }
      if (next != i) continue;
      ++k;
      if (bytes_) {
        const auto channels = static_cast<std::size_t>(format.shape[0]), area = pixels.size() / channels;
        for (std::size_t at = 0; at < pixels.size(); ++at)
          sample[at % channels * area + at / channels] = value_of(pixels[at], format);
      } else {
        require_finite(sample, sample.size(), path, i);
      }
      sum = std::accumulate(sample.begin(), sample.end(), sum);
      use({sample, label(i)});
    }
    const double mean = sum / static_cast<double>(sample.size()) / static_cast<double>(k);
    if (mean < format.low || mean > format.high) {
      std::ostringstream message;
      message << "the mean of its values, " << mean << ", lies outside the range [" << format.low << ", " << format.high
              << "]; scale them to it";
      fail(path, message.str());
    }
  }

 private:
  ArrayFile open() const {
    const std::vector types{ArrayType::float32, ArrayType::uint8};
    return name_.empty() ? ArrayFile(path, types) : ArrayFile(path, name_, types);
  }

  /// By the number of sizes: sounds [M, C, L], pictures [M, C, H, W] or clips [M, C, T, H, W].
  void find_format(const std::vector<std::int64_t>& shape) {
    if (shape.size() < 3 || shape.size() > 5) {
      fail(path, "has shape " + shape_text(shape) +
                     ", but samples are [M, C, H, W], of sounds [M, C, L], of clips [M, C, T, H, W]");
    }
    format.modality = shape.size() == 3 ? Modality::audio : shape.size() == 4 ? Modality::image : Modality::video;
    format.shape.assign(shape.begin() + 1, shape.end());
  }

  void read_labels(const std::string& name) {
    ArrayFile array(path, name, {ArrayType::int64, ArrayType::int32, ArrayType::uint8});
    if (array.shape() != std::vector{static_cast<std::int64_t>(count)})
      fail(path, name + " has shape " + shape_text(array.shape()) + ", but must have a label for each of the " +
                     std::to_string(count) + " samples");
    const auto take = [&](auto type) {
      std::vector<decltype(type)> numbers(count);
      array.read(std::span(numbers));
      labels.assign(numbers.begin(), numbers.end());
    };
    if (array.type() == ArrayType::int64) take(std::int64_t{});
    if (array.type() == ArrayType::int32) take(std::int32_t{});
    if (array.type() == ArrayType::uint8) take(std::uint8_t{});
  }

  std::string name_;  // in a .npz
  bool bytes_ = false;
};

/// Two zero bytes, type 8 (bytes), the number of sizes, the sizes in 4 bytes each, the highest first; then the bytes.
struct ReferenceSet::Idx : Source {
  Idx(const std::string& file, const std::optional<SampleFormat>& wanted) {
    path = file;
    std::vector<std::int64_t> shape = File(file).shape;
    if (wanted) format = *wanted;
    if (!wanted && shape.size() == 3) format.shape = {1, shape[1], shape[2]};
    // Grey pictures are [M, H, W] there.
    std::vector<std::int64_t> expected = format.shape;
    if (expected.size() == 3 && expected[0] == 1 && shape.size() == 3) expected.erase(expected.begin());
    if (expected.empty()) fail(file, "has shape " + shape_text(shape) + ", but pictures are [M, H, W] there");
    if (!holds(shape, expected)) fail_for_shape(file, shape, format.shape);
    count = static_cast<std::size_t>(shape[0]);
    const std::size_t at = file.rfind("images-idx3");
    if (at == std::string::npos) return;
    const std::string beside = std::string(file).replace(at, 11, "labels-idx1");
    std::error_code none;
    if (fs::exists(beside, none)) read_labels(beside);
  }

  void read(const Chosen& chosen, const Use& use) const override {
    File file(path);
    std::vector<unsigned char> pixels(size_of(format));
    std::vector<float> sample(pixels.size());
    std::size_t at = 0;
    for (std::size_t k = 0; const auto i = chosen(k); ++k) {
      for (; at <= *i; ++at) file.read(pixels);
      std::transform(pixels.begin(), pixels.end(), sample.begin(),
                     [&](unsigned char byte) { return value_of(byte, format); });
      use({sample, label(*i)});
    }
  }

 private:
  struct File {
    explicit File(const std::string& file) : path(file), stream(nullptr, gzclose) {
      { const InputFile exists(file); }
      stream.reset(gzopen(file.c_str(), "rb"));
      if (!stream) fail(file, "can't be read");
      std::array<unsigned char, 4> word;
      read(word);
      if (word[0] != 0 || word[1] != 0 || word[2] != 8)
        fail(file, "is none of a folder of pictures, a .npy, a .npz and an IDX file of bytes");
      shape.resize(word[3]);
      for (std::int64_t& side : shape) {
        read(word);
        side = std::int64_t{word[0]} << 24 | word[1] << 16 | word[2] << 8 | word[3];
      }
    }

    void read(std::span<unsigned char> bytes) {
      if (gzfread(bytes.data(), 1, bytes.size(), stream.get()) != bytes.size())
        fail(path, "is cut short or damaged; copy or make it again");
    }

    std::string path;
    std::unique_ptr<gzFile_s, decltype(&gzclose)> stream;
    std::vector<std::int64_t> shape;
  };

  void read_labels(const std::string& beside) {
    File file(beside);
    if (file.shape != std::vector{static_cast<std::int64_t>(count)})
      fail(beside, "has shape " + shape_text(file.shape) + ", but must have a label for each of the " +
                       std::to_string(count) + " samples beside it");
    std::vector<unsigned char> block(1 << 16);  // nothing is taken for what is not there
    while (labels.size() < count) {
      block.resize(std::min(block.size(), count - labels.size()));
      file.read(block);
      labels.insert(labels.end(), block.begin(), block.end());
    }
  }
};

ReferenceSet::ReferenceSet(const std::string& path, const std::optional<SampleFormat>& wanted) {
  std::error_code unreachable;  // as the readers say
  const std::string extension = extension_of(path);
  if (fs::is_directory(path, unreachable)) {
    source_ = std::make_unique<Folder>(path, wanted);
  } else if (extension == ".npy" || extension == ".npz") {
    source_ = std::make_unique<Array>(path, wanted);
  } else {
    source_ = std::make_unique<Idx>(path, wanted);
  }
}

ReferenceSet::ReferenceSet(ReferenceSet&&) noexcept = default;
ReferenceSet& ReferenceSet::operator=(ReferenceSet&&) noexcept = default;
ReferenceSet::~ReferenceSet() = default;

const SampleFormat& ReferenceSet::format() const { return source_->format; }
std::size_t ReferenceSet::count() const { return source_->count; }
bool ReferenceSet::has_labels() const { return !source_->labels.empty(); }
const std::vector<std::string>& ReferenceSet::label_names() const { return source_->label_names; }

void ReferenceSet::read(std::size_t most, const Use& use) const {
  source_->read(
      [this, most](std::size_t k) -> std::optional<std::size_t> {
        if (k >= std::min(source_->count, most)) return std::nullopt;
        return place_of(k, most);
      },
      use);
}

void ReferenceSet::read_these(std::size_t most, std::span<const std::size_t> numbers, const Use& use) const {
  source_->read(
      [=, this](std::size_t k) -> std::optional<std::size_t> {
        if (k >= numbers.size()) return std::nullopt;
        return place_of(numbers[k], most);
      },
      use);
}

/// floor(k * count / taken), without the product, which a damaged file's count could make too large.
std::size_t ReferenceSet::place_of(std::size_t k, std::size_t most) const {
  const std::size_t count = source_->count, taken = std::min(count, most);
  return k * (count / taken) + k * (count % taken) / taken;
}

std::vector<float> read_reference_set(const std::string& path, const SampleFormat& format, std::size_t most) {
  std::vector<float> values;
  ReferenceSet(path, format).read(most, [&](const ReferenceSet::Entry& entry) {
    values.insert(values.end(), entry.values.begin(), entry.values.end());
  });
  return values;
}

}  // namespace onestep
