#include "threads.hpp"

#include <ATen/Parallel.h>
#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "processors.hpp"

namespace onestep {
namespace {

int default_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    int threads = 0;
    std::from_chars(text, text + std::strlen(text), threads);
    if (threads > 0) return threads;
  }
  return available_processors();
}

std::atomic<int>& wanted() {
  static std::atomic<int> threads{default_threads()};
  return threads;
}

thread_local int most_of_libtorch = std::numeric_limits<int>::max();

std::atomic<bool> forked{false};
const int notices_fork = pthread_atfork(nullptr, nullptr, [] { forked = true; });

}  // namespace

int threads() { return wanted(); }

void use_threads(int threads) { wanted() = threads; }

LibtorchThreads::LibtorchThreads(int threads)
    // The first question has libtorch set this thread's number, which it does once.
    : before_(at::get_num_threads()), most_before_(most_of_libtorch) {
  most_of_libtorch = std::min(most_of_libtorch, forked ? 1 : threads);
  omp_set_num_threads(most_of_libtorch);
}

LibtorchThreads::~LibtorchThreads() {
  most_of_libtorch = most_before_;
  omp_set_num_threads(before_);
}

}  // namespace onestep
