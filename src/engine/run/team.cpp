#include "run/team.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "run/lines.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace onestep::engine {
namespace {

using Clock = std::chrono::steady_clock;

/// How long a thread looks for parts before it sleeps: some times what waking it costs, longer than most stages take,
/// and than a sampler takes between two calls.
constexpr std::chrono::microseconds patience{200};
/// After so long a thread offers its core to others, between two parts: about when the system would take it, amid a
/// part for which all would have to wait. Not sooner, as new kernels count the rest of a turn as if it had been used.
constexpr std::chrono::milliseconds turn{3};
/// After an interruption amid a part callers are alone for so many times its length.
constexpr int wariness = 16;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

/// One work at a time. A slot is never freed: a worker may come late, and then finds no parts, or those of other work.
struct alignas(line) Slot {
  /// Shares of this stage that nobody has begun, a bit each; share i of n is parts [i parts / n, (i + 1) parts / n).
  /// Whoever clears a bit may read what follows until he has done the share.
  std::atomic<std::uint64_t> open{0};
  std::atomic<std::int64_t> threads{0};  ///< That may be at work in this process.
  std::atomic<bool> taken{false};
  std::atomic<Slot*> outer{nullptr};  ///< Of the part that this is the work of.

  const Work* work = nullptr;
  std::int64_t stage = 0, parts = 0, shares = 0;
  std::atomic<bool> failed{false};
  std::exception_ptr exception;  ///< Of whoever set `failed`.

  alignas(line) std::atomic<std::int64_t> unfinished{0};  ///< Shares of this stage.
  alignas(line) std::atomic<std::uint32_t> news{0};       ///< Changes when a stage begins, and when all is done.
  std::atomic<bool> done{false};
};

/// Memory of a thread for the parts that it does.
std::byte* scratch_of_this_thread(std::int64_t bytes) {
  struct Memory {
    std::unique_ptr<std::byte[]> bytes;
    std::int64_t size = 0;
  };
  thread_local Memory memory;
  if (!memory.bytes || memory.size < bytes) {
    memory.bytes.reset();
    memory.bytes = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes) + line);
    memory.size = bytes;
  }
  return memory.bytes.get() + line - reinterpret_cast<std::uintptr_t>(memory.bytes.get()) % line;
}

/// 0: a caller.
thread_local std::int64_t place_of_this_thread = 0;

/// The slot of the part that this thread is doing.
thread_local Slot* doing = nullptr;

/// Whether a part that this thread did had work of its own: its length says nothing of interruptions, and it waits.
thread_local bool had_work_within = false;

/// Whether the system has taken the core from this thread since it was asked last.
bool was_interrupted() {
  thread_local long before = 0;
  rusage use{};
  getrusage(RUSAGE_THREAD, &use);
  const long now = use.ru_nvcsw + use.ru_nivcsw;
  return std::exchange(before, now) != now;
}

/// Offers the core to others if this thread has had it for its turn.
void take_turns(Clock::time_point now) {
  thread_local Clock::time_point began;
  if (now - began < turn) return;
  began = now;
  if (was_interrupted()) return;  // others have had theirs
  sched_yield();
  was_interrupted();  // not by this
}

struct alignas(line) Worker {
  std::atomic<bool> sleeping{false};
  std::atomic<std::uint32_t> calls{0};
};

class Team {
 public:
  void run(const Work& work, std::int64_t threads) {
    const bool is_part = doing != nullptr;
    ++(is_part ? within_parts_ : callers_);
    Slot alone;
    Slot* const taken = take_slot();
    Slot& slot = taken ? *taken : alone;
    slot.threads = taken ? threads : 1;
    slot.outer = doing;
    slot.work = &work;
    slot.stage = 0;
    slot.failed = false;
    slot.done = false;
    go_on(slot);
    while (!slot.done.load(std::memory_order_acquire)) {
      if (Slot* const open = open_for_owner(slot)) {
        do_share(*open);
      } else {
        wait(slot);
      }
    }
    const std::exception_ptr exception = std::exchange(slot.exception, nullptr);
    slot.taken.store(false, std::memory_order_release);
    --(is_part ? within_parts_ : callers_);
    had_work_within = is_part;
    if (exception) std::rethrow_exception(exception);
  }

  std::int64_t threads_of_each_caller(std::int64_t threads) const {
    if (is_better_alone()) return 1;
    return std::max<std::int64_t>(1, threads / (callers_ + (doing ? 0 : 1)));
  }

 private:
  /// A thread that was interrupted amid a part holds up the stage for longer than many stages take: for a while callers
  /// then lose less if nobody helps them.
  bool is_better_alone() const {
    const Clock::time_point until = be_alone_until_;
    return until != Clock::time_point() && Clock::now() < until;
  }

  static constexpr std::size_t most_slots = 256;
  static constexpr std::int64_t most_workers = 1024;

  Slot* take_slot() {
    for (std::size_t i = 0; i < most_slots; ++i) {
      if (slots_[i].taken.exchange(true, std::memory_order_acquire)) continue;
      std::size_t used = used_;
      while (used <= i && !used_.compare_exchange_weak(used, i + 1)) {
      }
      return &slots_[i];
    }
    return nullptr;
  }

  /// Workers that may take part in a slot's work: the callers are at work themselves.
  std::int64_t workers_for(const Slot& slot) const { return slot.threads - callers_; }

  /// A part's own work is shared when the stage that it is of has no more parts to begin, and not all threads are at
  /// work within such parts: each then does better by itself.
  bool is_to_be_shared(const Slot& slot) const {
    const Slot* const outer = slot.outer;
    const bool others_are_free = !outer || (outer->open == 0 && within_parts_ < slot.threads);
    return slot.parts > 1 && workers_for(slot) > 0 && others_are_free &&
           !(slot.work->stages() > 1 && is_better_alone());
  }

  /// From slot.stage on to the end, or to a stage whose parts are shared. Called by one thread, when the stage before
  /// is done.
  void go_on(Slot& slot) {
    try {
      for (; slot.stage < slot.work->stages() && !slot.failed; ++slot.stage) {
        slot.parts = slot.work->parts(slot.stage);
        if (is_to_be_shared(slot)) {
          slot.shares = std::min<std::int64_t>(slot.parts, 64);
          slot.unfinished.store(slot.shares, std::memory_order_relaxed);
          const std::int64_t wanted = std::min(workers_for(slot), slot.shares - 1);
          Slot* const outer = slot.outer;
          slot.open = ~std::uint64_t{0} >> (64 - slot.shares);  // from here on the slot may be at any stage
          tell_owner(slot);
          if (outer) tell_owner(*outer);
          start(wanted);
          wake_one(wanted);
          return;
        }
        for (std::int64_t part = 0; part < slot.parts; ++part) compute(slot, part);
      }
    } catch (...) {
      fail(slot);
    }
    slot.done.store(true, std::memory_order_release);
    tell_owner(slot);
  }

  /// The place of the share that this thread should do: each begins at a place of its own, so that in the next stage it
  /// finds in its caches what it has made.
  static int choose(std::uint64_t open, std::int64_t threads) {
    const std::int64_t begin = place_of_this_thread % threads * std::bit_width(open) / threads;
    const std::uint64_t from_there = open >> begin << begin;
    return std::countr_zero(from_there ? from_there : open);
  }

  /// Does a share that nobody has begun, if there is one.
  bool do_share(Slot& slot) {
    std::uint64_t open = slot.open.load(std::memory_order_relaxed);
    int share = 0;
    do {
      if (open == 0) return false;
      share = choose(open, slot.threads);
    } while (!slot.open.compare_exchange_weak(open, open & ~(std::uint64_t{1} << share), std::memory_order_acquire,
                                              std::memory_order_relaxed));
    Clock::time_point now = Clock::now();
    try {
      const std::int64_t first = share * slot.parts / slot.shares, last = (share + 1) * slot.parts / slot.shares;
      for (std::int64_t part = first; part < last && !slot.failed; ++part) {
        if (part > first) take_turns(now);
        const Clock::time_point began = now;
        had_work_within = false;
        compute(slot, part);
        now = Clock::now();
        if (now - began > turn && was_interrupted() && !had_work_within)
          be_alone_until_ = now + wariness * (now - began);
      }
    } catch (...) {
      fail(slot);
    }
    if (slot.unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      ++slot.stage;
      go_on(slot);
    }
    take_turns(now);
    return true;
  }

  static void compute(Slot& slot, std::int64_t part) {
    struct Doing {
      explicit Doing(Slot* slot) : outer(std::exchange(doing, slot)) {}
      ~Doing() { doing = outer; }
      Slot* outer;
    } const now(&slot);
    slot.work->compute(slot.stage, part, scratch_of_this_thread(slot.work->scratch_bytes()));
  }

  static void fail(Slot& slot) {
    if (!slot.failed.exchange(true)) slot.exception = std::current_exception();
  }

  static void tell_owner(Slot& slot) {
    ++slot.news;
    slot.news.notify_one();
  }

  /// Until there may be something to do for the one whose work it is.
  void wait(Slot& slot) {
    const std::uint32_t news = slot.news;
    const auto is_over = [&] { return slot.done || open_for_owner(slot); };
    if (!comes_true(is_over) && !is_over()) slot.news.wait(news);
  }

  /// Whether it does while one is patient.
  template <typename Condition>
  static bool comes_true(Condition condition) {
    for (const Clock::time_point start = Clock::now(); Clock::now() - start < patience;) {
      for (int i = 0; i < 16; ++i) {
        if (condition()) return true;
        pause();
      }
    }
    return false;
  }

  /// Starts those of the first `count` workers that are not there yet; fewer where the system refuses.
  void start(std::int64_t count) {
    count = std::min(count, most_.load());
    if (started_.load(std::memory_order_acquire) >= count) return;
    const std::lock_guard lock(starting_);
    // Signals are for the threads of the program.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      for (std::int64_t i = started_; i < count; ++i) {
        workers_[static_cast<std::size_t>(i)] = std::make_unique<Worker>();
        std::thread([this, i] { work(i); }).detach();
        started_.store(i + 1, std::memory_order_release);
      }
    } catch (const std::exception&) {
      most_ = started_.load();
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  /// Wakes one of the first `count` workers; he wakes the next.
  void wake_one(std::int64_t count) {
    if (sleeping_ == 0) return;
    count = std::min(count, started_.load(std::memory_order_acquire));
    for (std::int64_t i = 0; i < count; ++i) {
      Worker& worker = *workers_[static_cast<std::size_t>(i)];
      if (!worker.sleeping || !worker.sleeping.exchange(false)) continue;
      ++worker.calls;
      worker.calls.notify_one();
      return;
    }
  }

  /// A slot of his work that has parts for its owner: his own, or that of a part which another thread does.
  Slot* open_for_owner(Slot& own) {
    if (own.open > 0) return &own;
    const std::size_t used = used_;
    for (std::size_t i = 0; i < used; ++i) {
      if (slots_[i].outer == &own && slots_[i].open > 0) return &slots_[i];
    }
    return nullptr;
  }

  /// A slot that has parts for this worker, the others before the one that he was at last.
  Slot* open_slot(std::int64_t worker, std::size_t& place) {
    const std::size_t used = used_;
    for (std::size_t i = 1; i <= used; ++i) {
      Slot& slot = slots_[(place + i) % used];
      if (slot.open == 0 || worker >= workers_for(slot)) continue;
      place = (place + i) % used;
      return &slot;
    }
    return nullptr;
  }

  /// What a worker does all his life.
  [[noreturn]] void work(std::int64_t index) {
    place_of_this_thread = index + 1;
    Worker& self = *workers_[static_cast<std::size_t>(index)];
    std::size_t place = static_cast<std::size_t>(index);
    Slot* slot = nullptr;
    const auto has_found = [&] { return (slot = open_slot(index, place)) != nullptr; };
    while (true) {
      if (!comes_true(has_found)) {
        const std::uint32_t calls = self.calls;
        self.sleeping = true;
        ++sleeping_;
        if (!has_found()) self.calls.wait(calls);
        --sleeping_;
        self.sleeping = false;
        continue;
      }
      if (slot->open != 0) wake_one(workers_for(*slot));
      while (index < workers_for(*slot) && do_share(*slot)) {
      }
    }
  }

  std::array<Slot, most_slots> slots_;
  std::atomic<std::size_t> used_{0};  ///< Slots that were ever taken.
  std::array<std::unique_ptr<Worker>, most_workers> workers_;
  std::atomic<std::int64_t> started_{0}, sleeping_{0}, callers_{0}, most_{most_workers};
  std::atomic<std::int64_t> within_parts_{0};  ///< Works that are a part of other work.
  std::mutex starting_;
  std::atomic<Clock::time_point> be_alone_until_{Clock::time_point()};
};

std::atomic<Team*> team{nullptr};

/// A child of fork() has none of the workers: it forgets the team, whatever state it was in.
const int forgets_at_fork = pthread_atfork(nullptr, nullptr, [] {
  team = nullptr;
  doing = nullptr;
});

/// Lives as long as the process.
Team& current_team() {
  Team* known = team.load(std::memory_order_acquire);
  if (known) return *known;
  auto fresh = std::make_unique<Team>();
  return team.compare_exchange_strong(known, fresh.get()) ? *fresh.release() : *known;
}

/// Parts that nothing holds together.
class Each : public Work {
 public:
  Each(std::int64_t count, const std::function<void(std::int64_t)>& act) : count_(count), act_(act) {}

  std::int64_t stages() const override { return 1; }
  std::int64_t parts(std::int64_t) const override { return count_; }
  void compute(std::int64_t, std::int64_t part, std::byte*) const override { act_(part); }

 private:
  std::int64_t count_;
  const std::function<void(std::int64_t)>& act_;
};

}  // namespace

void do_together(const Work& work, std::int64_t threads) { current_team().run(work, threads); }

void do_each(std::int64_t count, std::int64_t threads, const std::function<void(std::int64_t)>& act) {
  do_together(Each(count, act), threads);
}

std::int64_t threads_of_each_caller(std::int64_t threads) { return current_team().threads_of_each_caller(threads); }

}  // namespace onestep::engine
