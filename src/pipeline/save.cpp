#include "onestep/save.hpp"

#include "output_file.hpp"
#include "sample_file.hpp"

namespace onestep {
namespace {

SampleFormat format_of(const ModelInfo& info) {
  return {info.data.modality, info.data.shape, info.data.range_low, info.data.range_high,
          info.data.rate > 0 ? info.data.rate : 1};
}

}  // namespace

void require_savable(const std::string& file, const ModelInfo& info, std::size_t count) {
  output_kind(file, format_of(info), count);
  require_writable(file);
}

void save(const std::string& file, const ModelInfo& info, const std::vector<Sample>& samples,
          const SaveOptions& options) {
  std::vector<float> values;
  std::vector<std::uint64_t> seeds;
  std::vector<std::int64_t> labels;
  for (const Sample& sample : samples) {
    values.insert(values.end(), sample.values.begin(), sample.values.end());
    seeds.push_back(sample.seed);
    if (sample.label) labels.push_back(*sample.label);
  }
  write_samples(file, format_of(info), {values, seeds, labels}, {options.columns, options.enlarge}, options.texts);
}

}  // namespace onestep
