#include "compute.hpp"

#include <algorithm>
#include <iterator>

#include "onestep/request_json.hpp"
#include "seconds_since.hpp"

namespace onestep {
namespace {

using Clock = std::chrono::steady_clock;

/// Samples times network calls of a batch, above which it holds up others for longer than it helps its own.
constexpr std::int64_t most_work = 512;

/// What must be the same for samples to run together, and is for all of a job.
std::string key_of(const Generator& generator, const Request& request) {
  if (!std::holds_alternative<std::monostate>(request.edit) || !request.noise.empty()) return "";
  Request alike = request;
  alike.seeds = {0};
  alike.labels.clear();
  alike.tokens.clear();
  alike.batch = 64;
  return generator.file() + (request.labels.empty() ? "\n" : "\nlabels\n") +
         (request.tokens.empty() ? "" : "tokens\n") + to_json(alike, generator.info());
}

}  // namespace

std::optional<Job::Event> Job::next(std::chrono::milliseconds patience, const std::function<bool()>& go_on) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (Clock::now() - looked_ >= patience && !ended_ && !stop_.stop_requested()) {
      lock.unlock();
      if (!go_on()) stop();
      lock.lock();
      looked_ = Clock::now();
    }
    if (!events_.empty()) {
      Event event = std::move(events_.front());
      events_.pop_front();
      return event;
    }
    if (ended_) break;
    changed_.wait_for(lock, patience);
  }
  if (error_) std::rethrow_exception(error_);
  return {};
}

bool Job::finished() const {
  const std::lock_guard lock(mutex_);
  return ended_ && !stopped_ && !error_;
}

double Job::seconds() const {
  const std::lock_guard lock(mutex_);
  return seconds_;
}

void Job::put(Event event) {
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
  changed_.notify_all();
}

void Job::end(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  ended_ = true;
  stopped_ = stop_.stop_requested();
  error_ = std::move(error);
  changed_.notify_all();
}

Compute::Compute(const ComputeBounds& bounds) : bounds_(bounds), thread_([this] { loop(); }) {}

Compute::~Compute() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (const auto& job : jobs_) {
      job->stop();
      job->end({});
    }
    jobs_.clear();
    changed_.notify_all();
  }
  thread_.join();
}

void Compute::require_room(std::int64_t samples) {
  if (counts_.waiting + samples > bounds_.queue && counts_.waiting > 0) throw QueueIsFull{bounds_.queue};
}

std::shared_ptr<Job> Compute::draw(const Generator& generator, Request request, const Report& plan, bool previews) {
  auto job = std::make_shared<Job>();
  job->generator_ = &generator;
  job->key_ = previews ? "" : key_of(generator, request);
  job->request_ = std::move(request);
  job->previews_ = previews;
  const auto count = static_cast<std::int64_t>(job->request_.seeds.size());
  job->nfe_ = std::max<std::int64_t>(plan.nfe, 1);
  job->draws_ = plan.levels.size();
  const std::lock_guard lock(mutex_);
  require_room(count);
  counts_.waiting += count;
  jobs_.push_back(job);
  changed_.notify_all();
  return job;
}

ComputeCounts Compute::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

/// The samples of the next batch: of the front job, and of those that are alike, a sample each in turn.
std::vector<Compute::Place> Compute::gather(std::unique_lock<std::mutex>& lock) {
  const std::shared_ptr<Job> front = jobs_.front();
  const auto most = static_cast<std::size_t>(std::clamp<std::int64_t>(most_work / front->nfe_, 1, bounds_.batch));
  const auto is_alike = [&](const std::shared_ptr<Job>& job) {
    return job == front || (!front->key_.empty() && job->key_ == front->key_);
  };
  const auto waiting = [&] {
    std::size_t samples = 0;
    for (const auto& job : jobs_) samples += is_alike(job) ? job->request_.seeds.size() - job->begun_ : 0;
    return samples;
  };
  // Others that are alike may come, where they did before; those that are not are not kept waiting for them.
  const auto until = front->since_ + bounds_.delay;
  while (last_batch_ > 1 && !front->key_.empty() && waiting() < most &&
         waiting() == static_cast<std::size_t>(counts_.waiting) && !ending_ &&
         changed_.wait_until(lock, until) != std::cv_status::timeout) {
  }
  std::vector<std::shared_ptr<Job>> alike;
  std::copy_if(jobs_.begin(), jobs_.end(), std::back_inserter(alike), is_alike);
  std::vector<Place> places;
  for (bool any = true; any && places.size() < most;) {
    any = false;
    for (const auto& job : alike) {
      if (places.size() == most || job->begun_ == job->request_.seeds.size()) continue;
      places.push_back({job, job->begun_++});
      any = true;
    }
  }
  last_batch_ = places.size();
  for (const auto& job : alike) {
    jobs_.remove(job);
    if (job->begun_ < job->request_.seeds.size()) jobs_.push_back(job);
  }
  return places;
}

void Compute::draw_batch(const std::vector<Place>& places) {
  std::vector<std::shared_ptr<Job>> jobs;
  for (const Place& place : places) {
    if (std::find(jobs.begin(), jobs.end(), place.job) == jobs.end()) jobs.push_back(place.job);
  }
  const Job& first = *places.front().job;
  Request together = first.request_;
  together.seeds.clear();
  together.labels.clear();
  together.tokens.clear();
  together.batch = static_cast<std::int64_t>(places.size());
  for (const Place& place : places) {
    const Request& request = place.job->request_;
    together.seeds.push_back(request.seeds[place.index]);
    if (!request.labels.empty()) together.labels.push_back(request.labels[place.index % request.labels.size()]);
    if (!request.tokens.empty()) together.tokens.push_back(request.tokens[place.index % request.tokens.size()]);
  }
  if (!together.noise.empty()) {  // [draws, seeds, ...]: those of this batch's seeds
    const std::size_t all = first.request_.seeds.size(), begin = places.front().index, count = places.size();
    const std::size_t rows = first.draws_;
    const std::size_t each = first.request_.noise.size() / (rows * all);
    together.noise.clear();
    for (std::size_t row = 0; row < rows; ++row) {
      const auto start = first.request_.noise.begin() + static_cast<std::ptrdiff_t>((row * all + begin) * each);
      together.noise.insert(together.noise.end(), start, start + static_cast<std::ptrdiff_t>(count * each));
    }
  }

  std::stop_source stop;
  const auto end_if_unwanted = [&] {
    if (std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->stop_.stop_requested(); }))
      stop.request_stop();
  };
  const OnProgress on_progress = [&](const Progress& progress) {
    end_if_unwanted();
    if (!progress.preview) return;
    for (const auto& job : jobs) {
      const auto count = static_cast<std::int64_t>(job->request_.seeds.size());
      Job::Event event;
      event.progress = Progress{progress.calls_done, progress.calls, static_cast<std::int64_t>(job->done_), count};
      if (job->previews_) event.preview = progress.preview();
      job->put(std::move(event));
    }
  };
  std::size_t next = 0;
  const Sink sink = [&](Sample&& sample) {
    // Those that are NaN are left out, and told of at the end.
    while (next < places.size() && places[next].job->request_.seeds[places[next].index] != sample.seed) ++next;
    if (next == places.size()) return;
    Job& job = *places[next++].job;
    ++job.done_;
    Job::Event event;
    event.sample = std::move(sample);
    job.put(std::move(event));
  };
  std::exception_ptr error;
  const auto started = Clock::now();
  try {
    end_if_unwanted();
    first.generator_->generate_each(together, sink, on_progress, stop.get_token());
  } catch (...) {
    error = std::current_exception();
  }
  const double seconds = seconds_since(started);
  {
    const std::lock_guard lock(mutex_);
    ++counts_.batches;
    counts_.samples += static_cast<std::int64_t>(places.size());
    counts_.seconds += seconds;
  }
  for (const auto& job : jobs) {
    {
      const std::lock_guard lock(job->mutex_);
      job->seconds_ += seconds;
    }
    const bool whole = job->done_ == job->request_.seeds.size();
    // Of a batch of several, each is told of the failure that kept its own samples away.
    const bool failed = error && job->done_ < job->begun_;
    if (whole || failed || job->stop_.stop_requested()) job->end(failed ? error : nullptr);
    if (failed) job->stop();  // what of it has not begun
  }
}

void Compute::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !jobs_.empty(); });
    if (ending_) return;
    // What nobody waits for any more goes first of all.
    std::vector<std::shared_ptr<Job>> unwanted;
    for (const auto& job : jobs_) {
      if (job->stop_.stop_requested()) unwanted.push_back(job);
    }
    for (const auto& job : unwanted) {
      counts_.waiting -= static_cast<std::int64_t>(job->request_.seeds.size() - job->begun_);
      jobs_.remove(job);
      job->end({});
    }
    if (jobs_.empty()) continue;
    const std::vector<Place> places = gather(lock);
    if (ending_) continue;
    counts_.waiting -= static_cast<std::int64_t>(places.size());
    lock.unlock();
    draw_batch(places);
    lock.lock();
  }
}

}  // namespace onestep
