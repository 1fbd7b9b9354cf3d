#include "bulk.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <new>

#include "batch_writer.hpp"
#include "onestep/request_json.hpp"
#include "progress_text.hpp"
#include "request_part.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

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

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// A run, as far as this process makes it.
class Bulk {
 public:
  Bulk(const BulkTask& task, const BulkLayout& layout)
      : task_(task), layout_(layout), size_(batch_of(task.request)), batch_(task.request.batch) {
    const std::size_t all = task.request.seeds.size(), batches = (all - 1) / size_ + 1;
    const auto stop_if_asked = [this] {
      if (stop_requested()) throw StoppedByUser{layout_.folder + " is as it was"};
    };
    // Batches are those of a run without shards: where the network's bits depend on the batch, they are the same.
    folder_.emplace(SampleFolder::Run{layout.folder, facts_of(task, layout.pattern), task.arguments.part(),
                                      layout.of_batches ? batches : all, layout.of_batches ? 1 : size_, layout.place,
                                      stop_if_asked},
                    task.arguments.resume);
    result_.report = task.generator.plan(task.request);
    result_.manifest = folder_->manifest();
  }

  BulkReport run() {
    count();
    try {
      draw_missing();
      count();
      if (!result_.report.stopped) end();
    } catch (const Error& error) {
      count();
      const std::string kept = result_.finished > 0
                                   ? "; " + std::to_string(result_.finished) + " of " + std::to_string(result_.asked) +
                                         " samples are done and kept: the same command with --resume goes on"
                                   : "";
      throw Error(error.kind(), error.what() + kept);
    }
    return std::move(result_);
  }

 private:
  bool stop_requested() {
    interrupt_.poll();
    return interrupt_.token().stop_requested();
  }

  std::size_t samples_in_block(std::size_t block) const {
    return std::min(size_, task_.request.seeds.size() - block * size_);
  }

  /// How many samples are this process's, and how many of them are there.
  void count() {
    const SampleFolder::Run& run = folder_->run();
    std::size_t own = 0, there = 0;
    for (auto block = static_cast<std::size_t>(run.shard.index); block * run.block < run.count;
         block += static_cast<std::size_t>(run.shard.count)) {
      const std::size_t samples = samples_in_block(block);
      own += samples;
      if (layout_.of_batches) {
        there += folder_->has(block) ? samples : 0;
      } else {
        for (std::size_t k = 0; k < samples; ++k) there += folder_->has(block * size_ + k);
      }
    }
    result_.asked = static_cast<std::int64_t>(own);
    result_.finished = static_cast<std::int64_t>(there);
  }

  void draw_missing() {
    const std::vector<std::size_t> missing = folder_->missing_blocks();
    Progress progress;
    for (const std::size_t block : missing) progress.samples += static_cast<std::int64_t>(samples_in_block(block));
    progress.calls = result_.report.nfe * static_cast<std::int64_t>(missing.size());
    const double per_item = layout_.of_batches ? 1 : static_cast<double>(size_);
    bar_.emplace(*folder_, static_cast<double>(result_.report.nfe) / per_item, static_cast<double>(size_) / per_item,
                 task_.quiet);
    BatchWriter writer([this](const DrawnBatch& batch) { add(batch); });
    for (const std::size_t block : missing) {
      result_.report.stopped = stop_requested();
      if (result_.report.stopped) break;
      std::vector<std::uint64_t> broken;
      writer.push(drawn(block, progress, broken));
      if (!broken.empty() && !task_.arguments.keep_going) {
        writer.finish();
        throw NumericalError(task_.generator.file() + ": NaN or infinity in the sample of seed " +
                                 std::to_string(broken.front()) +
                                 "; --keep-going notes such seeds and goes on, onestep inspect --check tests the model",
                             broken);
      }
      progress.samples_done += static_cast<std::int64_t>(samples_in_block(block));
      bar_->show(progress);
    }
    writer.finish();
  }

  /// A block's samples. broken: the seeds of those that are none; unless the run is to go on, what is behind the first
  /// of them is left out.
  DrawnBatch drawn(std::size_t block, Progress& progress, std::vector<std::uint64_t>& broken) {
    const Request part =
        part_of(task_.request, task_.generator.info(), places_from(block * size_, samples_in_block(block)));
    const Progress before = progress;
    const std::int64_t nfe = result_.report.nfe;
    const auto on_progress = [&](const Progress& call) {
      interrupt_.poll();
      progress.calls_done = before.calls_done + call.calls_done * nfe / std::max<std::int64_t>(call.calls, 1);
      bar_->show(progress);
    };
    DrawnBatch batch;
    Report report;
    batch.samples = draw(task_.generator, part, batch_, report, broken, on_progress);
    result_.report.seconds += report.seconds;
    progress.calls_done = before.calls_done + nfe;
    std::size_t whole = 0;
    for (std::size_t k = 0; k < part.seeds.size(); ++k) {
      const bool is_broken = std::find(broken.begin(), broken.end(), part.seeds[k]) != broken.end();
      if (is_broken && !task_.arguments.keep_going) break;
      result_.broken += is_broken;
      if (!is_broken) ++whole;
      if (layout_.of_batches) continue;
      SampleFolder::Item item{block * size_ + k, std::nullopt, is_broken};
      if (!is_broken) item.label = batch.samples[whole - 1].label;
      batch.items.push_back(item);
      batch.counts.push_back(!is_broken);
    }
    batch.samples.resize(whole);
    if (layout_.of_batches && (broken.empty() || task_.arguments.keep_going)) {
      batch.items.push_back({block, std::nullopt, false});
      batch.counts.push_back(whole);
    }
    result_.report.count += static_cast<std::int64_t>(whole);
    if (task_.request.seeds.size() <= short_run) list(batch);
    return batch;
  }

  /// For the report.
  void list(const DrawnBatch& batch) {
    for (const Sample& sample : batch.samples) result_.drawn.push_back({sample.seed, sample.label, {}, {}});
    for (const SampleFolder::Item& item : batch.items) {
      if (!item.broken && !layout_.of_batches)
        result_.files.push_back(folder_->run().folder + "/" + layout_.place(item.number).file);
    }
  }

  void add(const DrawnBatch& batch) {
    std::vector<std::span<const Sample>> of_items;
    std::size_t first = 0;
    for (const std::size_t count : batch.counts) {
      of_items.push_back(std::span(batch.samples).subspan(first, count));
      first += count;
    }
    folder_->add(batch.items, [&](std::size_t k) { return layout_.encode(of_items[k], batch.items[k].number); });
  }

  void end() {
    const SampleFolder::Run& run = folder_->run();
    result_.ended = ends_run(run, [this] { bar_->show_again(); });
    if (!result_.ended) return;
    if (this_rank().count > 1) result_.asked = result_.finished = static_cast<std::int64_t>(task_.request.seeds.size());
    if (layout_.finish) layout_.finish();
  }

  const BulkTask& task_;
  const BulkLayout& layout_;
  std::size_t size_;    // samples a batch,
  std::int64_t batch_;  // and a network call: fewer where memory is short
  Interrupt interrupt_;
  std::optional<SampleFolder> folder_;
  std::optional<RunBar> bar_;
  BulkReport result_;
};

}  // namespace

void BulkArguments::add_to(CLI::App& command) {
  const char* group = "Folder or .npz, and pictures of any --size";
  command.add_flag("--resume", resume, "go on with a run that was stopped, or begin it")->group(group);
  command
      .add_flag("--keep-going", keep_going,
                "of a folder or a .npz: a seed that gives NaN is noted or left out, and the others are drawn")
      ->group(group);
  command
      .add_option("--shard", shard,
                  "I/N, of a folder: this process draws part I of N, 0/N to N-1/N; all into one folder, each when it "
                  "likes")
      ->group(group);
}

void BulkArguments::require_none(const std::string& output) const {
  for (const auto& [said, option] :
       {std::pair(resume, "--resume"), std::pair(keep_going, "--keep-going"), std::pair(!shard.empty(), "--shard")}) {
    if (!said) continue;
    throw Error(ErrorKind::usage,
                option + (" is for a folder of samples; " + output + " is none: give one, such as out/"));
  }
  if (this_rank().count > 1)
    throw Error(ErrorKind::usage, output + " is written by one process, not by " + std::to_string(this_rank().count) +
                                      "; give a folder, such as out/, or a .npz");
}

Shard BulkArguments::part() const {
  const Rank rank = this_rank();
  if (shard.empty()) return {rank.index, rank.count};
  if (rank.count > 1)
    throw Error(ErrorKind::usage, "--shard " + shard + ": mpirun has dealt the work to its " +
                                      std::to_string(rank.count) + " ranks; leave it out");
  return parse_shard(shard);
}

std::string folder_of_parts(const std::string& file) { return file + ".unfinished"; }

std::string name_of_part(std::size_t part) {
  char name[32];
  std::snprintf(name, sizeof name, "%07zu.part", part);
  return name;
}

std::size_t batch_of(const Request& request) {
  return static_cast<std::size_t>(std::min(request.batch, static_cast<std::int64_t>(request.seeds.size())));
}

void require_different(std::vector<std::uint64_t> seeds) {
  std::sort(seeds.begin(), seeds.end());
  const auto twice = std::adjacent_find(seeds.begin(), seeds.end());
  if (twice == seeds.end()) return;
  throw Error(ErrorKind::usage,
              "seed " + std::to_string(*twice) + " is asked for twice; a folder has one file for each seed");
}

nlohmann::ordered_json facts_of(const BulkTask& task, const std::string& pattern) {
  const Generator& generator = task.generator;
  const Request& request = task.request;
  const ModelInfo& info = generator.info();
  const Report plan = generator.plan(request);
  Request rest = without_samples(request);
  rest.labels = request.labels;
  rest.tokens = request.tokens;
  const Json all = Json::parse(to_json(rest, info));
  Json facts{{"model", info.name},
             {"model_sha256", task.hash.get()},
             {"device", task.device.substr(0, task.device.find(':'))},
             {"precision", name_of(generator.precision().precision)},
             {"compiled", task.compiled},
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

BulkReport draw_in_bulk(const BulkTask& task, const BulkLayout& layout) { return Bulk(task, layout).run(); }

RunBar::RunBar(const SampleFolder& folder, double calls, double samples, bool quiet)
    : bar_(quiet || this_rank().count > 1),
      others_(folder.run(), folder.run().shard.index),
      prints_(!quiet && this_rank().count > 1 && this_rank().index == 0),
      calls_(calls),
      samples_(samples),
      started_(now()),
      all_(this_rank().count > 1 ? folder.run().count - folder.own() : 0),
      before_(all_ > 0 ? std::min(others_.items(), all_) : 0),
      now_(before_) {}

void RunBar::show(const Progress& own) {
  own_ = own;
  if (all_ > 0 && this_rank().index == 0 && (now() - looked_ > 1 || failed_workers())) {
    looked_ = now();
    now_ = std::clamp(others_.items(), before_, all_);
  }
  const auto of_others = [](std::size_t items, double each) {
    return static_cast<std::int64_t>(static_cast<double>(items) * each);
  };
  const Progress all{own.calls_done + of_others(now_ - before_, calls_), own.calls + of_others(all_ - before_, calls_),
                     own.samples_done + of_others(now_ - before_, samples_),
                     own.samples + of_others(all_ - before_, samples_)};
  bar_.show(all);
  if (prints_) print(all, now());
}

void RunBar::print(const Progress& all, double time) {
  const bool own_done = own_.calls_done >= own_.calls && (samples_ == 0 || own_.samples_done >= own_.samples);
  const bool done = own_done && now_ == all_;
  if (all.calls == 0 || ended_ || (!done && time - printed_ < 10)) return;
  printed_ = time;
  ended_ = done;
  std::fprintf(stderr, "%s\n", bar_text(all, time - started_).c_str());
  std::fflush(stderr);
}

bool ends_run(const SampleFolder::Run& run, const std::function<void()>& waiting) {
  const Rank rank = this_rank();
  if (run.shard.count == 1) return true;
  if (rank.count == 1) return join_manifests(run, /*remove_those_of_shards=*/false);
  if (rank.index > 0) return false;
  std::optional<std::int64_t> failed;
  while (!(failed = failed_workers())) {
    waiting();
    usleep(100'000);
  }
  waiting();
  if (*failed > 0) {
    throw RanksFailed{std::to_string(*failed) + " of " + std::to_string(rank.count) +
                      " ranks did not do their part; the others did, and the same command with --resume does the rest"};
  }
  if (join_manifests(run, /*remove_those_of_shards=*/true)) return true;
  throw Error(ErrorKind::file, run.folder + ": all ranks have ended, but the manifest of one is not whole; " +
                                   "do all machines see one folder there?");
}

}  // namespace onestep
