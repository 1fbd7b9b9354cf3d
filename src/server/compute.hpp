#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "onestep/generator.hpp"

namespace onestep {

/// Of what waits and of what runs together.
struct ComputeBounds {
  std::int64_t batch = 64;                ///< Samples a network call, at most.
  std::chrono::microseconds delay{2000};  ///< That a sample waits for others, where the last had company.
  std::int64_t queue = 20'000;            ///< Samples that wait, at most.
};

/// More samples than may wait.
struct QueueIsFull {
  std::int64_t most;
};

/// What is computed for one client: samples that come one by one, in the order of their seeds.
class Job {
 public:
  struct Event {
    std::optional<Sample> sample;
    std::optional<Progress> progress;
    std::vector<float> preview;  ///< With progress, where previews were asked for.
  };

  /// The next event; none: all is done, or it was stopped. Asks go_on every now and then, and stops where it says so.
  /// Throws what went wrong.
  std::optional<Event> next(std::chrono::milliseconds patience, const std::function<bool()>& go_on);
  /// Whether all of it was done.
  bool finished() const;
  /// Nothing more is wanted; the network call that runs is the last.
  void stop() { stop_.request_stop(); }
  double seconds() const;  ///< Of network calls that this job had a part in.

 private:
  friend class Compute;

  void put(Event event);
  void end(std::exception_ptr error);

  const Generator* generator_ = nullptr;
  Request request_;
  std::string key_;  ///< Jobs of one key run together. Empty: with none.
  bool previews_ = false;
  std::int64_t nfe_ = 1;
  std::size_t draws_ = 1;             ///< Of a request that brings its noise.
  std::size_t begun_ = 0, done_ = 0;  ///< Of the request's seeds. Compute's.
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();

  std::stop_source stop_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::chrono::steady_clock::time_point looked_ = since_;  ///< Whether to go on.
  std::deque<Event> events_;
  bool ended_ = false, stopped_ = false;
  std::exception_ptr error_;
  double seconds_ = 0;
};

/// What a server counts.
struct ComputeCounts {
  std::int64_t samples = 0, batches = 0, waiting = 0;
  double seconds = 0;  ///< Spent in batches.
};

/// One thread that calls networks for everybody. Samples that wait together and are asked for alike run together, with
/// the results that they have alone. Every job has its turn: in a batch each gives a sample after the other, and
/// batches of unlike jobs take turns.
class Compute {
 public:
  explicit Compute(const ComputeBounds& bounds);
  /// Ends what runs; what waits is stopped.
  ~Compute();

  /// A request and what generator.plan says of it. The generator must outlive the job. Throws QueueIsFull.
  std::shared_ptr<Job> draw(const Generator& generator, Request request, const Report& plan, bool previews);
  ComputeCounts counts() const;

 private:
  /// A sample of a batch, and whose it is.
  struct Place {
    std::shared_ptr<Job> job;
    std::size_t index;  ///< Of the job's seeds.
  };

  void loop();
  void require_room(std::int64_t samples);
  std::vector<Place> gather(std::unique_lock<std::mutex>& lock);
  void draw_batch(const std::vector<Place>& places);

  ComputeBounds bounds_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<std::shared_ptr<Job>> jobs_;  ///< With something that has not begun; the front has the next turn.
  bool ending_ = false;
  std::size_t last_batch_ = 0;
  ComputeCounts counts_;
  std::thread thread_;
};

}  // namespace onestep
