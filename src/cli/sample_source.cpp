#include "sample_source.hpp"

#include <algorithm>
#include <filesystem>

#include "reference_set.hpp"
#include "request_part.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

class Files : public SampleSource {
 public:
  Files(const std::string& path, std::size_t most, const DataSpace* like)
      : set_(path, like ? std::optional(SampleFormat{like->modality, like->shape, like->range_low, like->range_high})
                        : std::nullopt),
        most_(most) {
    name = path;
    const SampleFormat& format = set_.format();
    data.modality = format.modality;
    data.shape = format.shape;
    data.range_low = format.low;
    data.range_high = format.high;
    count = static_cast<std::int64_t>(std::min(set_.count(), most_));
    has_labels = set_.has_labels();
    label_names = set_.label_names();
  }

  void each(const Use& use, const Rank& rank, Interrupt& interrupt, bool quiet) const override {
    std::vector<std::size_t> numbers;
    for (std::int64_t i = rank.index; i < count; i += rank.count) numbers.push_back(static_cast<std::size_t>(i));
    ProgressBar bar(quiet);
    const auto own = static_cast<std::int64_t>(numbers.size());
    Progress progress{.calls = own, .samples = own};
    const auto take = [&](const ReferenceSet::Entry& entry) {
      interrupt.poll();
      if (interrupt.token().stop_requested()) throw StoppedByUser{"nothing was written"};
      use(entry.values, entry.label);
      progress.calls_done = ++progress.samples_done;
      bar.show(progress);
    };
    if (!numbers.empty()) set_.read_these(most_, numbers, take);
  }

  std::map<std::int64_t, std::vector<float>> these(const std::vector<std::int64_t>& numbers) const override {
    const std::vector<std::size_t> places(numbers.begin(), numbers.end());
    std::map<std::int64_t, std::vector<float>> found;
    std::size_t k = 0;
    set_.read_these(most_, places, [&](const ReferenceSet::Entry& entry) {
      found[numbers[k++]].assign(entry.values.begin(), entry.values.end());
    });
    return found;
  }

 private:
  ReferenceSet set_;
  std::size_t most_;
};

class Drawn : public SampleSource {
 public:
  Drawn(const Generator& generator, Request request, const std::string& model)
      : generator_(generator), request_(std::move(request)) {
    name = model;
    data = generator.info().data;
    data.shape = generator.plan(request_).shape;
    count = static_cast<std::int64_t>(request_.seeds.size());
    has_labels = generator.info().label_count > 0;
    label_names = generator.info().label_names;
  }

  void each(const Use& use, const Rank& rank, Interrupt& interrupt, bool quiet) const override {
    // Whole batches: where the network's bits depend on the batch, they are those of one process.
    const auto batch = static_cast<std::size_t>(request_.batch), ranks = static_cast<std::size_t>(rank.count);
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < request_.seeds.size(); ++i) {
      if (i / batch % ranks == static_cast<std::size_t>(rank.index)) places.push_back(i);
    }
    if (places.empty()) return;
    ProgressBar bar(quiet);
    const OnProgress on_progress = on_bar(bar, interrupt);
    const Report report = generator_.generate_each(
        part_of(request_, generator_.info(), places), [&](Sample&& sample) { use(sample.values, sample.label); },
        on_progress, interrupt.token());
    if (report.stopped) throw StoppedByUser{"nothing was written"};
  }

  std::map<std::int64_t, std::vector<float>> these(const std::vector<std::int64_t>& numbers) const override {
    std::map<std::int64_t, std::vector<float>> found;
    if (numbers.empty()) return found;
    Result drawn = generator_.generate(
        part_of(request_, generator_.info(), std::vector<std::size_t>(numbers.begin(), numbers.end())));
    for (std::size_t i = 0; i < numbers.size(); ++i) found[numbers[i]] = std::move(drawn.samples[i].values);
    return found;
  }

 private:
  const Generator& generator_;
  Request request_;
};

}  // namespace

bool names_a_model(const std::string& text) {
  std::error_code unreachable;
  if (fs::exists(text, unreachable)) return text.ends_with(".pt") || fs::exists(fs::path(text) / "onestep.json");
  const auto shipped = shipped_models();
  const bool known = std::any_of(shipped.begin(), shipped.end(), [&](const auto& m) { return m.first == text; });
  return known || text.ends_with(".pt");
}

std::unique_ptr<SampleSource> samples_of_files(const std::string& path, std::size_t most, const DataSpace* like) {
  std::error_code unreachable;
  if (!fs::exists(path, unreachable) && path.find_first_of("./") == std::string::npos) {
    std::string names;
    for (const auto& model : shipped_models()) names += (names.empty() ? "" : ", ") + model.first;
    throw Error(ErrorKind::file, path + ": is no file, and no shipped model, which are " + names);
  }
  return std::make_unique<Files>(path, most, like);
}

std::unique_ptr<SampleSource> samples_of_model(const Generator& generator, Request request, const std::string& name) {
  return std::make_unique<Drawn>(generator, std::move(request), name);
}

}  // namespace onestep
