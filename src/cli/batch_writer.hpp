#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "onestep/generator.hpp"
#include "sample_folder.hpp"

namespace onestep {

/// Samples on their way to the disk.
struct DrawnBatch {
  std::vector<SampleFolder::Item> items;
  std::vector<Sample> samples;      // of all items that are not broken, in order;
  std::vector<std::size_t> counts;  // so many of each item
};

/// Hands batches to `add`, in order, on a thread of its own, while the next ones are drawn.
class BatchWriter {
 public:
  using Add = std::function<void(const DrawnBatch&)>;
  explicit BatchWriter(Add add) : add_(std::move(add)), thread_([this] { run(); }) {}
  ~BatchWriter() { close(); }
  BatchWriter(const BatchWriter&) = delete;
  BatchWriter& operator=(const BatchWriter&) = delete;

  /// Waits while two batches are waiting. Throws what adding an earlier one threw.
  void push(DrawnBatch batch);
  /// All is added when it returns. Throws likewise.
  void finish();

 private:
  void close();
  void run();

  Add add_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<DrawnBatch> waiting_;
  bool closed_ = false;
  std::exception_ptr thrown_;
  std::thread thread_;
};

}  // namespace onestep
