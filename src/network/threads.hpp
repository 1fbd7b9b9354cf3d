#pragma once

namespace onestep {

/// CPU threads of all network calls of this process: as many as set_threads (generator.hpp) was told, or
/// OMP_NUM_THREADS says, or as there are processors for it.
int threads();

/// threads: at least 1.
void use_threads(int threads);

/// While it lives, libtorch's operators run on so many threads where this thread calls them, or on as many as one
/// around it has left; on one in a child of fork(), which has none of the threads that libtorch's OpenMP started
/// before. They wait spinning, and beside others that compute they are hence to be few.
class LibtorchThreads {
 public:
  explicit LibtorchThreads(int threads);
  ~LibtorchThreads();
  LibtorchThreads(const LibtorchThreads&) = delete;
  LibtorchThreads& operator=(const LibtorchThreads&) = delete;

 private:
  int before_, most_before_;
};

}  // namespace onestep
