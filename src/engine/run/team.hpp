#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace onestep::engine {

/// Work in stages, one after another. The parts of a stage are done in any order, several at once, by any thread: each
/// must give the same whoever does it.
class Work {
 public:
  virtual ~Work() = default;

  virtual std::int64_t stages() const = 0;
  /// Asked when the stage before is done. A stage of one part costs no other thread anything.
  virtual std::int64_t parts(std::int64_t stage) const = 0;
  /// scratch: `scratch_bytes()` of the thread's own, aligned for every type and for a line of the cache.
  virtual void compute(std::int64_t stage, std::int64_t part, std::byte* scratch) const = 0;
  virtual std::int64_t scratch_bytes() const { return 0; }
};

/// Does all of the work, on this thread and on workers that all callers in the process share; returns when it is done.
/// threads: of this process's, [1, inf), those of all callers at this time included: with as many callers, each is
/// alone. What a part throws is thrown here, and parts that nobody has begun are left out.
///
/// A thread is in nobody's way while it is not running: whoever does the last part of a stage goes on to the next one,
/// and what nobody has begun the others do. A part may itself do work together; other threads take part in that as
/// soon as there are no parts of its own stage left. Its scratch is then overwritten.
///
/// Workers are started when they are first needed, and stay. In a child of fork() there are none, and it starts its
/// own.
void do_together(const Work& work, std::int64_t threads);

/// act(i) for every i of [0, count), together. Each must give the same whoever does it, and in any order.
void do_each(std::int64_t count, std::int64_t threads, const std::function<void(std::int64_t i)>& act);

/// How many of these threads a caller may count on now: those who are at work have as many each.
std::int64_t threads_of_each_caller(std::int64_t threads);

}  // namespace onestep::engine
