#include "onestep/save.hpp"

#include <new>

#include "onestep/request_json.hpp"
#include "output_file.hpp"
#include "sample_file.hpp"

namespace onestep {
namespace {

SampleFormat format_of(const ModelInfo& info, const std::vector<std::int64_t>& shape, const SaveOptions& options = {}) {
  const double rate = info.data.rate > 0 ? info.data.rate : 1;
  return {.modality = info.data.modality,
          .shape = shape.empty() ? info.data.shape : shape,
          .low = info.data.range_low,
          .high = info.data.range_high,
          .rate = info.data.modality == Modality::music ? options.tempo.value_or(rate) : rate,
          .roll = info.data.roll,
          .soundfont = options.soundfont};
}

/// A picture of sounds says which is which.
std::string caption_of(const Sample& sample, const ModelInfo& info) {
  const std::string seed = std::to_string(sample.seed);
  if (!sample.label) return seed;
  return name_of_label(*sample.label, info).value_or(std::to_string(*sample.label)) + " " + seed;
}

}  // namespace

FileKind file_kind(const std::string& file, const ModelInfo& info, std::size_t count) {
  return file_kind(file, format_of(info, {}), count);
}

bool can_hold(FileKind kind, const ModelInfo& info, std::size_t count) {
  return can_hold(kind, format_of(info, {}), count);
}

void require_savable(const std::string& file, const ModelInfo& info, std::size_t count) {
  file_kind(file, info, count);
  require_writable(file);
}

std::vector<std::byte> encode(FileKind kind, const ModelInfo& info, const std::vector<Sample>& samples,
                              const SaveOptions& options) try {
  SampleSet set;
  std::vector<std::uint64_t> seeds;
  std::vector<std::int64_t> labels;
  const std::vector<std::int64_t> shape = samples.empty() ? std::vector<std::int64_t>{} : samples.front().shape;
  for (const Sample& sample : samples) {
    if (sample.shape != shape) throw Error(ErrorKind::usage, "the samples of a file must be of one shape");
    set.values.emplace_back(sample.values);
    seeds.push_back(sample.seed);
    if (sample.label) labels.push_back(*sample.label);
    set.captions.push_back(caption_of(sample, info));
  }
  if (!labels.empty() && labels.size() != samples.size())
    throw Error(ErrorKind::usage, "some of the samples have a label and others none; give all of them one, or none");
  set.seeds = seeds;
  set.labels = labels;
  return encode_samples(kind, format_of(info, shape, options), set, {options.columns, options.enlarge}, options.texts);
} catch (const std::bad_alloc&) {
  throw Error(ErrorKind::memory, std::to_string(samples.size()) +
                                     " samples do not fit in memory once more, as the bytes of a file; save fewer at a "
                                     "time, or each to a file of its own");
}

void save(const std::string& file, const ModelInfo& info, const std::vector<Sample>& samples,
          const SaveOptions& options) {
  write_file(file, encode(file_kind(file, info, samples.size()), info, samples, options));
}

}  // namespace onestep
