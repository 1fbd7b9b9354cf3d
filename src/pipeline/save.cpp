#include "onestep/save.hpp"

#include "output_file.hpp"
#include "sample_file.hpp"

namespace onestep {
namespace {

SampleFormat format_of(const ModelInfo& info, const std::vector<std::int64_t>& shape) {
  return {info.data.modality, shape.empty() ? info.data.shape : shape, info.data.range_low, info.data.range_high,
          info.data.rate > 0 ? info.data.rate : 1};
}

}  // namespace

void require_savable(const std::string& file, const ModelInfo& info, std::size_t count) {
  output_kind(file, format_of(info, {}), count);
  require_writable(file);
}

void save(const std::string& file, const ModelInfo& info, const std::vector<Sample>& samples,
          const SaveOptions& options) {
  std::vector<float> values;
  std::vector<std::uint64_t> seeds;
  std::vector<std::int64_t> labels;
  const std::vector<std::int64_t> shape = samples.empty() ? std::vector<std::int64_t>{} : samples.front().shape;
  for (const Sample& sample : samples) {
    if (sample.shape != shape) throw Error(ErrorKind::usage, file + ": its samples must be of one shape");
    values.insert(values.end(), sample.values.begin(), sample.values.end());
    seeds.push_back(sample.seed);
    if (sample.label) labels.push_back(*sample.label);
  }
  write_samples(file, format_of(info, shape), {values, seeds, labels}, {options.columns, options.enlarge},
                options.texts);
}

}  // namespace onestep
