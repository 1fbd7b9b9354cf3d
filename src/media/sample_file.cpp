#include "sample_file.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>

#include "array_file.hpp"
#include "onestep/error.hpp"
#include "sound_file.hpp"
#include "values.hpp"

namespace onestep {
namespace {

constexpr int grid_gap = 2;

struct Extension {
  const char* name;
  OutputKind kind;
};
constexpr Extension extensions[] = {
    {".png", OutputKind::png}, {".jpg", OutputKind::jpeg}, {".jpeg", OutputKind::jpeg}, {".webp", OutputKind::webp},
    {".wav", OutputKind::wav}, {".npy", OutputKind::npy},  {".npz", OutputKind::npz}};

bool fits(OutputKind kind, Modality modality) {
  switch (kind) {
    case OutputKind::png:
    case OutputKind::jpeg:
      return modality == Modality::image;
    case OutputKind::webp:
      return modality == Modality::image || modality == Modality::video;
    case OutputKind::wav:
      return modality == Modality::audio;
    case OutputKind::npy:
    case OutputKind::npz:
      return true;
  }
  return false;
}

}  // namespace

OutputKind output_kind(const std::string& file, const SampleFormat& format, std::size_t count) {
  std::string name = std::filesystem::path(file).extension().string();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  std::string fitting;
  const Extension* found = nullptr;
  for (const Extension& extension : extensions) {
    if (name == extension.name) found = &extension;
    if (fits(extension.kind, format.modality)) fitting += (fitting.empty() ? "" : ", ") + std::string(extension.name);
  }
  if (!found || !fits(found->kind, format.modality)) {
    throw Error(ErrorKind::usage, file + ": " + (name.empty() ? "a name without extension" : name) +
                                      " is no kind of file for samples of modality " + name_of(format.modality) +
                                      "; these are: " + fitting);
  }
  const OutputKind kind = found->kind;
  if (kind == OutputKind::npy || kind == OutputKind::npz) return kind;
  const std::int64_t channels = format.shape.at(0);
  if (format.modality != Modality::audio && channels != 1 && channels != 3) {
    throw Error(ErrorKind::usage, file + ": samples of shape " + shape_text(format.shape) + " have " +
                                      std::to_string(channels) +
                                      " channels, but a picture has 1 or 3; these do: .npy, .npz");
  }
  if (format.modality != Modality::image && count != 1) {
    throw Error(ErrorKind::usage, file + ": " + name + " holds one sample of modality " + name_of(format.modality) +
                                      ", not " + std::to_string(count) + "; give a file a sample, such as {seed:06d}" +
                                      name + ", or .npy or .npz");
  }
  return kind;
}

void write_samples(const std::string& file, const SampleFormat& format, const SampleSet& samples,
                   const GridOptions& options, const PictureTexts& texts) {
  const auto count = static_cast<std::int64_t>(samples.seeds.size());
  std::vector<std::int64_t> shape = format.shape;
  shape.insert(shape.begin(), count);
  require_shape(samples.values.size(), shape);
  const OutputKind kind = output_kind(file, format, samples.seeds.size());

  if (kind == OutputKind::npy) return write_npy(file, {samples.values, shape});
  if (kind == OutputKind::npz) {
    std::vector<std::pair<std::string, ArrayView>> arrays{{"samples", {samples.values, shape}},
                                                          {"seeds", {samples.seeds, {count}}}};
    if (!samples.labels.empty()) arrays.push_back({"labels", {samples.labels, {count}}});
    return write_npz(file, arrays);
  }
  if (kind == OutputKind::wav) {
    const auto sample_rate = static_cast<int>(std::lround(format.rate));
    return write_wav(file, samples.values, format.shape, format.low, format.high, sample_rate);
  }
  if (format.modality == Modality::video) {
    std::vector<Picture> frames = to_frames(samples.values, format.shape, format.low, format.high);
    for (Picture& frame : frames) frame = enlarge(frame, options.enlarge);
    return write_webp(file, frames, format.rate);
  }

  std::vector<Picture> pictures;
  const std::size_t size = count > 0 ? samples.values.size() / count : 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto values = samples.values.subspan(i * size, size);
    pictures.push_back(enlarge(to_picture(values, format.shape, format.low, format.high), options.enlarge));
  }
  const Picture picture = count == 1 ? std::move(pictures.front()) : grid(pictures, options.columns, grid_gap);
  if (kind == OutputKind::png) return write_png(file, picture, texts);
  if (kind == OutputKind::jpeg) return write_jpeg(file, picture);
  write_webp(file, {picture});
}

}  // namespace onestep
