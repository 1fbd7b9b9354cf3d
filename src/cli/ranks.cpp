#include "ranks.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "onestep/error.hpp"
#include "progress_text.hpp"
#include "terminal.hpp"

#ifdef ONESTEP_MPI
#define OMPI_SKIP_MPICXX 1  // the interface for C alone
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#endif

namespace onestep {
namespace {

constexpr const char* worker_variable = "ONESTEP_WORKER";  // "INDEX/COUNT/DESCRIPTOR", of a worker

/// A worker, as its rank tells it by the environment.
struct Worker {
  Rank rank;
  int descriptor = -1;  // of worker 0: there stands how many others failed, when all have ended
};

std::optional<Worker> find_worker() {
  const char* text = std::getenv(worker_variable);
  Worker worker;
  if (!text || std::sscanf(text, "%ld/%ld/%d", &worker.rank.index, &worker.rank.count, &worker.descriptor) != 3)
    return {};
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // a rank that is killed takes its worker with it
  speak_as("onestep, rank " + std::to_string(worker.rank.index));
  return worker;
}

const std::optional<Worker>& this_worker() {
  static const std::optional<Worker> worker = find_worker();
  return worker;
}

/// As Open MPI, MPICH and their kin, and Slurm with PMIx tell their processes.
std::int64_t started_processes() {
  const auto number = [](const char* variable) {
    const char* text = std::getenv(variable);
    return text ? std::strtoll(text, nullptr, 10) : 0;
  };
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (number(variable) > 0) return number(variable);
  }
  return std::getenv("PMIX_RANK") ? std::max<std::int64_t>(number("SLURM_STEP_NUM_TASKS"), 1) : 1;
}

#ifdef ONESTEP_MPI

bool initialized = false;
volatile std::sig_atomic_t worker_process = 0;  // its number

/// Waits, and leaves the processor to the workers: MPI's own waiting takes all of a core.
void wait_for(MPI_Request& request) {
  for (int done = 0;;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done) return;
    usleep(20'000);
  }
}

void pass_on(int signal) {
  if (worker_process > 0) kill(worker_process, signal);
}

std::vector<std::string> own_arguments() {
  std::ifstream stream("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string text; std::getline(stream, text, '\0');) arguments.push_back(text);
  return arguments;
}

void start_worker(const Rank& rank, int descriptor) {
  std::vector<std::string> arguments = own_arguments(), environment;
  for (char** variable = environ; *variable; ++variable) environment.emplace_back(*variable);
  environment.push_back(std::string(worker_variable) + "=" + std::to_string(rank.index) + "/" +
                        std::to_string(rank.count) + "/" + std::to_string(descriptor));
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (std::string& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
  };
  // In a process group of its own: it gets signals once, from its rank.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, pass_on);
  pid_t started = 0;
  const int failed = posix_spawn(&started, "/proc/self/exe", nullptr, &attributes, pointers(arguments).data(),
                                 pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  worker_process = started;
  if (failed != 0)
    throw Error(ErrorKind::memory,
                "a process for the work can't be started: " + std::system_category().message(failed));
}

/// Its exit code.
int wait_for_worker(const Rank& rank) {
  int status = 0;
  while (waitpid(worker_process, &status, 0) < 0 && errno == EINTR) {
  }
  worker_process = 0;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  complain("rank " + std::to_string(rank.index) + " was killed by signal " + std::to_string(WTERMSIG(status)));
  return rank_failed;
}

#endif

}  // namespace

Rank this_rank() {
  if (this_worker()) return this_worker()->rank;
  const std::int64_t started = started_processes();
  if (started == 1) return {};
#ifdef ONESTEP_MPI
  if (!std::exchange(initialized, true)) MPI_Init(nullptr, nullptr);
  int index = 0, count = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &index);
  MPI_Comm_size(MPI_COMM_WORLD, &count);
  if (count == started) return {index, count};
  throw Error(ErrorKind::usage,
              std::to_string(started) + " processes of this command were started, of which MPI sees " +
                  std::to_string(count) + "; use mpirun, or srun, of the MPI that onestep was built with");
#else
  throw Error(ErrorKind::usage, std::to_string(started) +
                                    " processes of this command were started, and onestep was built without MPI; give "
                                    "each of them a part, --shard 0/" +
                                    std::to_string(started) + " ..., or build it with -DONESTEP_MPI=ON");
#endif
}

#ifdef ONESTEP_MPI

void sum_over_ranks(std::span<double> numbers) {
  if (this_rank().count == 1) return;
  constexpr std::size_t most = 1 << 24;  // MPI counts in int
  for (; !numbers.empty(); numbers = numbers.subspan(std::min(most, numbers.size()))) {
    MPI_Allreduce(MPI_IN_PLACE, numbers.data(), static_cast<int>(std::min(most, numbers.size())), MPI_DOUBLE, MPI_SUM,
                  MPI_COMM_WORLD);
  }
}

std::optional<int> run_in_workers() {
  const Rank rank = this_rank();
  if (rank.count == 1 || this_worker()) return {};
  std::array<int, 2> ends{-1, -1};  // from rank 0 to its worker
  if (rank.index == 0 && (pipe2(ends.data(), O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFD, 0) != 0))
    throw Error(ErrorKind::memory, "no pipe can be made: " + std::system_category().message(errno));
  int code = 0, highest = 0;
  std::vector<int> codes(static_cast<std::size_t>(rank.count));
  MPI_Request request;
  start_worker(rank, ends[0]);
  if (rank.index == 0) {
    // Its own worker has not ended: it waits for the others'.
    MPI_Igather(&code, 1, MPI_INT, codes.data(), 1, MPI_INT, 0, MPI_COMM_WORLD, &request);
    wait_for(request);
    const auto failed =
        static_cast<std::int64_t>(std::count_if(codes.begin(), codes.end(), [](int c) { return c != 0; }));
    std::signal(SIGPIPE, SIG_IGN);  // a worker that has died reads nothing
    if (write(ends[1], &failed, sizeof failed) != sizeof failed) code = rank_failed;
    close(ends[0]);
    close(ends[1]);
    code = std::max(code, wait_for_worker(rank));
  } else {
    const int own = wait_for_worker(rank);
    code = own;
    MPI_Igather(&code, 1, MPI_INT, nullptr, 1, MPI_INT, 0, MPI_COMM_WORLD, &request);
    wait_for(request);
  }
  MPI_Iallreduce(&code, &highest, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD, &request);
  wait_for(request);
  end_ranks();
  return highest;
}

void end_ranks() {
  if (std::exchange(initialized, false)) MPI_Finalize();
}

#else

void sum_over_ranks(std::span<double>) { this_rank(); }

std::optional<int> run_in_workers() {
  this_rank();
  return {};
}

void end_ranks() {}

#endif

bool is_first_worker() { return !this_worker() || this_worker()->rank.index == 0; }

std::optional<std::int64_t> failed_workers() {
  static std::optional<std::int64_t> known;
  pollfd waiting{this_worker() ? this_worker()->descriptor : -1, POLLIN, 0};
  if (waiting.fd < 0) return 0;
  if (known || poll(&waiting, 1, 0) <= 0) return known;
  std::int64_t failed = 0;
  // Nothing to be read: its rank has died.
  if (read(waiting.fd, &failed, sizeof failed) != sizeof failed) failed = this_worker()->rank.count - 1;
  return known = failed;
}

}  // namespace onestep
