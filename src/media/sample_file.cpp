#include "sample_file.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>

#include "array_file.hpp"
#include "clip_file.hpp"
#include "midi.hpp"
#include "onestep/error.hpp"
#include "roll.hpp"
#include "sound_file.hpp"
#include "sound_picture.hpp"
#include "synthesizer.hpp"
#include "values.hpp"

namespace onestep {
namespace {

struct Extension {
  const char* name;
  FileKind kind;
};
constexpr Extension extensions[] = {{".png", FileKind::png},   {".jpg", FileKind::jpeg},  {".jpeg", FileKind::jpeg},
                                    {".webp", FileKind::webp}, {".apng", FileKind::apng}, {".gif", FileKind::gif},
                                    {".wav", FileKind::wav},   {".mid", FileKind::midi},  {".midi", FileKind::midi},
                                    {".npy", FileKind::npy},   {".npz", FileKind::npz}};

bool is_still(FileKind kind) { return kind == FileKind::png || kind == FileKind::jpeg || kind == FileKind::webp; }

bool fits(FileKind kind, const SampleFormat& format) {
  const std::int64_t channels = format.shape.at(0);
  if (format.modality == Modality::music) return kind != FileKind::apng && kind != FileKind::gif;
  if (format.modality == Modality::audio && is_still(kind)) return true;
  const bool picture = channels == 1 || channels == 3 || channels == 4;
  switch (kind) {
    case FileKind::png:
      return (format.modality == Modality::image || format.modality == Modality::video) && picture;
    case FileKind::jpeg:
      return format.modality == Modality::image && picture && channels != 4;
    case FileKind::webp:
      return (format.modality == Modality::image || format.modality == Modality::video) && picture;
    case FileKind::apng:
    case FileKind::gif:
      return format.modality == Modality::video && picture;
    case FileKind::wav:
      return format.modality == Modality::audio;
    case FileKind::midi:
      return false;
    case FileKind::npy:
    case FileKind::npz:
      return true;
  }
  return false;
}

/// Whether several samples go into one file of the kind.
bool holds_several(FileKind kind) { return kind != FileKind::wav && kind != FileKind::midi; }

/// With room between, through which one sees where one sees through pictures.
Picture spaced_grid(const std::vector<Picture>& pictures, int columns, int gap = 2) {
  return grid(pictures, columns, gap, pictures.front().channels == 4 ? invisible : white);
}

/// Frames of a grid of clips, as many frames each.
std::vector<Picture> moving_grid(const std::vector<std::vector<Picture>>& clips, int columns) {
  std::vector<Picture> frames;
  for (std::size_t t = 0; t < clips.front().size(); ++t) {
    std::vector<Picture> pictures;
    for (const std::vector<Picture>& clip : clips) pictures.push_back(clip[t]);
    frames.push_back(spaced_grid(pictures, columns));
  }
  return frames;
}

/// `name` is for messages.
void require_fit(FileKind kind, const SampleFormat& format, std::size_t count, const std::string& name) {
  if (format.shape.empty()) throw Error(ErrorKind::usage, name + ": the shape of the samples is empty");
  if (!fits(kind, format)) {
    std::string fitting;
    for (const Extension& extension : extensions) {
      if (fits(extension.kind, format)) fitting += (fitting.empty() ? "" : ", ") + std::string(extension.name);
    }
    throw Error(ErrorKind::usage, name + " does not hold samples of modality " + name_of(format.modality) +
                                      " and shape " + shape_text(format.shape) + "; these do: " + fitting);
  }
  if (count != 1 && !holds_several(kind)) {
    throw Error(ErrorKind::usage, name + " holds one sample of modality " + name_of(format.modality) + ", not " +
                                      std::to_string(count) + "; give a file a sample, such as {seed:06d}" +
                                      extension_of(kind) + ", or .npy or .npz");
  }
}

}  // namespace

std::string extension_of(FileKind kind) {
  return std::find_if(std::begin(extensions), std::end(extensions), [&](const Extension& e) { return e.kind == kind; })
      ->name;
}

FileKind usual_kind(Modality modality) {
  switch (modality) {
    case Modality::audio:
      return FileKind::wav;
    case Modality::video:
      return FileKind::webp;
    case Modality::music:
      return FileKind::midi;
    case Modality::image:
      break;
  }
  return FileKind::png;
}

bool can_hold(FileKind kind, const SampleFormat& format, std::size_t count) {
  return fits(kind, format) && (count == 1 || holds_several(kind));
}

FileKind file_kind(const std::string& file, const SampleFormat& format, std::size_t count) {
  std::string name = std::filesystem::path(file).extension().string();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const Extension& extension : extensions) {
    if (name != extension.name) continue;
    require_fit(extension.kind, format, count, file + ": " + name);
    return extension.kind;
  }
  std::string known;
  for (const Extension& extension : extensions) known += (known.empty() ? "" : ", ") + std::string(extension.name);
  throw Error(ErrorKind::usage, file + ": " + (name.empty() ? "a name without extension" : name) +
                                    " is no kind of file that is known; these are: " + known);
}

std::vector<std::byte> encode_samples(FileKind kind, const SampleFormat& format, const SampleSet& samples,
                                      const GridOptions& options, const PictureTexts& texts) {
  const std::size_t count = samples.seeds.size();
  require_fit(kind, format, count, extension_of(kind));
  if (samples.values.size() != count) {
    throw Error(ErrorKind::usage,
                std::to_string(samples.values.size()) + " samples were given with " + std::to_string(count) + " seeds");
  }
  for (const auto& values : samples.values) require_shape(values.size(), format.shape);

  if (kind == FileKind::npy || kind == FileKind::npz) {
    const auto rows = static_cast<std::int64_t>(count);
    std::vector<std::int64_t> shape = format.shape;
    shape.insert(shape.begin(), rows);
    const ArrayView all{samples.values, shape};
    if (kind == FileKind::npy) return encode_npy(all);
    std::vector<std::pair<std::string, ArrayView>> arrays{{"samples", all}, {"seeds", {samples.seeds, {rows}}}};
    if (!samples.labels.empty()) arrays.push_back({"labels", {samples.labels, {rows}}});
    return encode_npz(arrays);
  }
  const bool music = format.modality == Modality::music;
  const auto notes_of = [&](std::span<const float> values) {
    return notes_of_roll(values, format.shape, format.low, format.high, format.roll);
  };
  if (kind == FileKind::midi) return encode_midi({notes_of(samples.values.front()), format.rate});
  if (kind == FileKind::wav && music) {
    const std::vector<float> sound =
        play({notes_of(samples.values.front()), format.rate}, format.shape[2], format.soundfont);
    const std::int64_t shape[] = {2, static_cast<std::int64_t>(sound.size() / 2)};
    return encode_wav(sound, shape, -1, 1, synthesizer_rate);
  }
  if (kind == FileKind::wav) {
    const auto sample_rate = static_cast<int>(std::lround(format.rate));
    return encode_wav(samples.values.front(), format.shape, format.low, format.high, sample_rate);
  }
  if (count == 0) throw Error(ErrorKind::usage, "a picture of no samples can't be made; give one or more");
  if (format.modality == Modality::video) {
    std::vector<std::vector<Picture>> clips;
    for (const auto& values : samples.values) {
      std::vector<Picture>& frames = clips.emplace_back(to_frames(values, format.shape, format.low, format.high));
      for (Picture& frame : frames) frame = enlarge(frame, options.enlarge);
    }
    if (kind == FileKind::png) return encode_png(sprite_sheet(clips), texts);
    const std::vector<Picture> frames = count == 1 ? std::move(clips.front()) : moving_grid(clips, options.columns);
    if (kind == FileKind::apng) return encode_apng(frames, format.rate, texts);
    if (kind == FileKind::gif) return encode_gif(frames, format.rate);
    return encode_webp(frames, format.rate);
  }

  const bool sound = format.modality == Modality::audio;
  std::vector<Picture> pictures;
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<const float> values = samples.values[i];
    const Picture picture =
        music   ? picture_of_notes(notes_of(values), format.shape[1], format.shape[2], format.roll.lowest_pitch)
        : sound ? picture_of_sound(values, format.shape, format.low, format.high, format.rate,
                                   samples.captions.empty() ? "" : samples.captions[i])
                : to_picture(values, format.shape, format.low, format.high);
    pictures.push_back(enlarge(picture, options.enlarge));
  }
  const Picture picture =
      count == 1 ? std::move(pictures.front()) : spaced_grid(pictures, options.columns, sound ? 16 : 2);
  if (kind == FileKind::png) return encode_png(picture, texts);
  if (kind == FileKind::jpeg) return encode_jpeg(picture);
  return encode_webp({picture});
}

}  // namespace onestep
