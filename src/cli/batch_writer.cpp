#include "batch_writer.hpp"

#include <utility>

namespace onestep {

void BatchWriter::push(DrawnBatch batch) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.size() < 2 || thrown_; });
  if (thrown_) std::rethrow_exception(thrown_);
  waiting_.push_back(std::move(batch));
  changed_.notify_all();
}

void BatchWriter::finish() {
  close();
  if (thrown_) std::rethrow_exception(thrown_);
}

void BatchWriter::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void BatchWriter::run() {
  for (;;) {
    DrawnBatch batch;
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

}  // namespace onestep
