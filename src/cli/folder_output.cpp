#include "folder_output.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <thread>

#include "array_file.hpp"
#include "file_pattern.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "sample_folder.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t files_a_folder = 1000;

/// 0, 1, 2, 5 as "0-2,5".
std::string ranges(const std::vector<std::uint64_t>& seeds) {
  std::string text;
  for (std::size_t i = 0; i < seeds.size();) {
    std::size_t end = i + 1;
    while (end < seeds.size() && seeds[end] == seeds[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(seeds[i]);
    if (end > i + 1) text += "-" + std::to_string(seeds[end - 1]);
    i = end;
  }
  return text;
}

void require_different(std::vector<std::uint64_t> seeds) {
  std::sort(seeds.begin(), seeds.end());
  const auto twice = std::adjacent_find(seeds.begin(), seeds.end());
  if (twice == seeds.end()) return;
  throw Error(ErrorKind::usage,
              "seed " + std::to_string(*twice) + " is asked for twice; a folder has one file for each seed");
}

/// A request without what is a sample's own: seeds, labels, texts, noise. A million seeds are not copied for each.
Request bare(const Request& request) {
  Request rest;
  rest.sampler = request.sampler;
  rest.edit = request.edit;
  rest.guidance = request.guidance;
  rest.batch = request.batch;
  rest.force = request.force;
  rest.sizes = request.sizes;
  rest.conditions = request.conditions;
  rest.label_map = request.label_map;
  return rest;
}

/// What is drawn, as far as another run of it would have to be the same.
Json facts_of(const Generator& generator, const Request& request, const Report& plan, const std::string& model_sha256,
              const std::string& pattern, const std::string& device, bool compiled) {
  const ModelInfo& info = generator.info();
  Request rest = bare(request);
  rest.labels = request.labels;
  rest.tokens = request.tokens;
  const Json all = Json::parse(to_json(rest, info));
  Json facts{{"model", info.name},
             {"model_sha256", model_sha256},
             {"device", device.substr(0, device.find(':'))},
             {"precision", name_of(generator.precision().precision)},
             {"compiled", compiled},
             {"sampler", plan.sampler},
             {"options", parts_of(request.sampler).options},
             {"levels", plan.levels},
             {"nfe", plan.nfe},
             {"shape", plan.shape},
             {"seeds", ranges(request.seeds)},
             {"count", request.seeds.size()},
             {"batch", request.batch},
             {"file", pattern}};
  for (const char* field : {"labels", "guidance", "force", "sizes", "tokens", "conditions", "label_map"}) {
    if (all.contains(field)) facts[field] = all[field];
  }
  if (!request.noise.empty()) facts["noise_sha256"] = sha256_of(std::as_bytes(std::span(request.noise)));
  return facts;
}

/// The part of a request that draws `count` of its seeds from `first` on.
Request part_of(const Request& request, std::size_t first, std::size_t count, std::size_t sample_size) {
  Request part = bare(request);
  const auto from = static_cast<std::ptrdiff_t>(first), to = static_cast<std::ptrdiff_t>(first + count);
  part.seeds.assign(request.seeds.begin() + from, request.seeds.begin() + to);
  const auto in_turn = [&](const auto& all, auto& some) {
    for (std::size_t i = first; !all.empty() && i < first + count; ++i) some.push_back(all[i % all.size()]);
  };
  in_turn(request.labels, part.labels);
  in_turn(request.tokens, part.tokens);
  // [draws, seeds, ...]
  for (std::size_t at = first * sample_size; at < request.noise.size(); at += request.seeds.size() * sample_size) {
    const float* noise = request.noise.data() + at;
    part.noise.insert(part.noise.end(), noise, noise + count * sample_size);
  }
  return part;
}

/// Samples on their way to the disk.
struct Batch {
  std::vector<SampleFolder::Item> items;
  std::vector<Sample> samples;  // of those that are not broken
};

/// Adds batches to a folder, in order, while the next ones are drawn.
class Writer {
 public:
  using Add = std::function<void(const Batch&)>;
  explicit Writer(Add add) : add_(std::move(add)), thread_([this] { run(); }) {}
  ~Writer() { close(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// Waits while two batches are waiting. Throws what adding an earlier one threw.
  void push(Batch batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() < 2 || thrown_; });
    if (thrown_) std::rethrow_exception(thrown_);
    waiting_.push_back(std::move(batch));
    changed_.notify_all();
  }

  /// All is added when it returns. Throws likewise.
  void finish() {
    close();
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  void run() {
    for (;;) {
      Batch batch;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        batch = std::move(waiting_.front());
      }
      try {
        add_(batch);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        thrown_ = std::current_exception();
        waiting_.clear();
        changed_.notify_all();
        return;
      }
      const std::lock_guard lock(mutex_);
      waiting_.pop_front();
      changed_.notify_all();
    }
  }

  Add add_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> waiting_;
  bool closed_ = false;
  std::exception_ptr thrown_;
  std::thread thread_;
};

/// Fewer samples a call where memory is short, down to one.
std::vector<Sample> draw(const Generator& generator, Request request, std::int64_t& batch, Report& report,
                         std::vector<std::uint64_t>& broken, const OnProgress& on_progress) {
  for (;;) {
    std::vector<Sample> samples;
    request.batch = batch;
    std::string found;
    try {
      const Sink sink = [&](Sample&& sample) { samples.push_back(std::move(sample)); };
      report = generator.generate_each(request, sink, on_progress);
      return samples;
    } catch (const NumericalError& error) {
      broken = error.seeds();
      return samples;
    } catch (const std::bad_alloc&) {
      found = "out of memory";
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::memory) throw;
      found = error.what();
    }
    batch = std::min(batch, static_cast<std::int64_t>(request.seeds.size()));
    if (batch == 1) {
      throw Error(ErrorKind::memory, found +
                                         "; one sample a network call needs more memory than there is: use another "
                                         "machine, a smaller --size, or raise the limit");
    }
    complain(found + "; going on with " + std::to_string(batch / 2) + " samples a network call");
    batch /= 2;
  }
}

}  // namespace

void FolderArguments::add_to(CLI::App& command) {
  command.add_flag("--resume", resume, "of a folder: go on with a run that was stopped, or begin it")->group("Folder");
  command
      .add_flag("--keep-going", keep_going,
                "of a folder: a seed that gives NaN is noted in the manifest, and the others are drawn")
      ->group("Folder");
  command
      .add_option("--shard", shard,
                  "I/N, of a folder: this process draws part I of N, 0/N to N-1/N; all into one folder, each when it "
                  "likes")
      ->group("Folder");
}

void FolderArguments::require_none(const std::string& output) const {
  for (const auto& [said, option] :
       {std::pair(resume, "--resume"), std::pair(keep_going, "--keep-going"), std::pair(!shard.empty(), "--shard")}) {
    if (!said) continue;
    throw Error(ErrorKind::usage,
                option + (" is for a folder of samples; " + output + " is none: give one, such as out/"));
  }
}

FolderReport draw_into_folder(const Generator& generator, const Request& request, const ModelHash& hash,
                              const std::string& folder, const std::string& extension, const FolderArguments& arguments,
                              const std::string& device, bool compiled, bool quiet) {
  const ModelInfo& info = generator.info();
  const std::size_t all = request.seeds.size();
  const bool in_folders = all > short_run;
  const std::string name = "{seed:06d}" + extension;
  const Provenance provenance(hash);
  const Report plan = generator.plan(request);
  const Json facts = facts_of(generator, request, plan, provenance.model_sha256(),
                              (in_folders ? "{number/1000:03d}/" : "") + name, device, compiled);
  const FileKind kind = file_kind("a" + extension, info, 1);
  require_different(request.seeds);

  // Batches are those of a run without shards: where the network's bits depend on the batch, they are the same.
  const Shard shard = arguments.shard.empty() ? Shard{} : parse_shard(arguments.shard);
  const auto size = static_cast<std::size_t>(std::min(request.batch, static_cast<std::int64_t>(all)));
  std::vector<std::size_t> firsts, own;  // of each batch: its first sample in the run, and in this shard
  std::size_t count = 0;
  const auto step = static_cast<std::size_t>(shard.count);
  for (std::size_t first = static_cast<std::size_t>(shard.index) * size; first < all; first += step * size) {
    firsts.push_back(first);
    own.push_back(count);
    count += std::min(size, all - first);
  }
  const auto number_of = [&](std::size_t i) { return firsts[i / size] + i % size; };
  const auto place = [&](std::size_t i) {
    const std::size_t number = number_of(i);
    std::string file;
    if (in_folders) {
      const std::string thousand = std::to_string(number / files_a_folder);
      file = std::string(3 - std::min<std::size_t>(thousand.size(), 3), '0') + thousand + "/";
    }
    return SamplePlace{request.seeds[number], file + file_of_seed(name, request.seeds[number])};
  };

  Interrupt interrupt;
  std::size_t sample_size = 1;
  if (!request.noise.empty()) {
    std::map<std::string, std::int64_t> sizes = request.sizes;
    sizes.merge(default_sizes(info.sample));
    for (const std::int64_t side : shape_at(info.sample.sizes, sizes)) sample_size *= static_cast<std::size_t>(side);
  }
  FolderReport result;
  result.report = plan;
  result.asked = static_cast<std::int64_t>(count);

  const auto checked = [&](std::size_t) {
    interrupt.poll();
    if (interrupt.token().stop_requested()) throw StoppedByUser{folder + " is as it was"};
  };
  SampleFolder there({folder, facts, shard, count, place, checked}, arguments.resume);
  result.manifest = there.manifest();
  std::vector<std::size_t> missing;  // batches
  for (std::size_t b = 0; b < firsts.size(); ++b) {
    const std::size_t samples = std::min(size, all - firsts[b]);
    for (std::size_t k = 0; k < samples; ++k) {
      if (there.has(own[b] + k)) continue;
      missing.push_back(b);
      break;
    }
  }
  result.finished = result.asked - static_cast<std::int64_t>(there.missing());

  const auto encoded = [&](const Sample& sample, std::size_t number) {
    SaveOptions options;
    if (kind == FileKind::png) {
      const std::span one(&sample, 1);
      Request again = drawn_again(bare(request), one);
      if (!request.tokens.empty()) again.tokens = {request.tokens[number % request.tokens.size()]};
      Json made{{"model", info.name},    {"sampler", plan.sampler}, {"options", parts_of(request.sampler).options},
                {"levels", plan.levels}, {"seeds", again.seeds},    {"labels", labels_of(one)}};
      made["request"] = Json::parse(to_json(again, info));
      // Not the command: a picture is to be the same whatever process of the run draws it.
      options.texts = provenance.texts(std::move(made), /*with_command=*/false);
    }
    return encode(kind, info, {sample}, options);
  };
  const auto add = [&](const Batch& batch) {
    std::vector<std::size_t> sample_of(batch.items.size());
    std::size_t next = 0;
    for (std::size_t k = 0; k < batch.items.size(); ++k) {
      if (!batch.items[k].broken) sample_of[k] = next++;
    }
    there.add(batch.items,
              [&](std::size_t k) { return encoded(batch.samples[sample_of[k]], number_of(batch.items[k].i)); });
  };

  std::exception_ptr failed;
  bool stopped = false;
  {
    ProgressBar bar(quiet);
    Progress progress;
    for (const std::size_t b : missing) progress.samples += static_cast<std::int64_t>(std::min(size, all - firsts[b]));
    progress.calls = plan.nfe * static_cast<std::int64_t>(missing.size());
    Writer writer(add);
    try {
      std::int64_t batch_size = request.batch;
      for (const std::size_t b : missing) {
        interrupt.poll();
        stopped = interrupt.token().stop_requested();
        if (stopped) break;
        const std::size_t samples = std::min(size, all - firsts[b]);
        const Progress before = progress;
        const auto on_progress = [&](const Progress& now) {
          interrupt.poll();
          progress.calls_done = before.calls_done + now.calls_done * plan.nfe / std::max<std::int64_t>(now.calls, 1);
          bar.show(progress);
        };
        std::vector<std::uint64_t> broken;
        Report report;
        Batch batch;
        batch.samples =
            draw(generator, part_of(request, firsts[b], samples, sample_size), batch_size, report, broken, on_progress);
        result.report.seconds += report.seconds;
        std::size_t next = 0;
        for (std::size_t k = 0; k < samples; ++k) {
          const std::uint64_t seed = request.seeds[firsts[b] + k];
          SampleFolder::Item item{own[b] + k, std::nullopt, false};
          item.broken = std::find(broken.begin(), broken.end(), seed) != broken.end();
          if (item.broken && !arguments.keep_going) break;
          if (!item.broken) item.label = batch.samples[next++].label;
          batch.items.push_back(item);
          result.broken += item.broken;
          if (all <= short_run && !item.broken) {
            result.drawn.push_back({seed, item.label, {}, {}});
            result.files.push_back(folder + (folder.ends_with('/') ? "" : "/") + place(item.i).file);
          }
        }
        result.report.count += static_cast<std::int64_t>(next);
        const bool whole = batch.items.size() == samples;
        batch.samples.resize(next);
        writer.push(std::move(batch));
        if (!whole) {
          writer.finish();
          throw NumericalError(generator.file() + ": NaN or infinity in the sample of seed " +
                                   std::to_string(broken.front()) +
                                   "; --keep-going notes such seeds and goes on, "
                                   "onestep inspect --check tests the model",
                               broken);
        }
        progress.calls_done = before.calls_done + plan.nfe;
        progress.samples_done += static_cast<std::int64_t>(samples);
      }
      writer.finish();
    } catch (...) {
      failed = std::current_exception();
    }
  }
  result.finished = result.asked - static_cast<std::int64_t>(there.missing());
  if (!failed && !stopped) there.finish();
  result.report.stopped = stopped;
  if (failed) {
    const std::string kept = result.finished > 0
                                 ? "; " + std::to_string(result.finished) + " of " + std::to_string(result.asked) +
                                       " samples are done and kept: the same command with --resume goes on"
                                 : "";
    try {
      std::rethrow_exception(failed);
    } catch (const Error& error) {
      throw Error(error.kind(), error.what() + kept);
    }
  }
  return result;
}

}  // namespace onestep
