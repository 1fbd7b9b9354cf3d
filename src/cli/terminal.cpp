#include "terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace onestep {
namespace {

volatile std::sig_atomic_t interrupted = 0;

void mark_interrupted(int) { interrupted = 1; }

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Interrupt::Interrupt() {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = mark_interrupted;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

void Interrupt::poll() {
  if (interrupted) source_.request_stop();
}

ProgressBar::ProgressBar(bool quiet) : shown_(!quiet && isatty(STDERR_FILENO)), started_(now()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::show(const Progress& progress) {
  const double time = now();
  // Ten times a second is as much as anyone can read.
  if (!shown_ || progress.calls == 0 || (time - last_ < 0.1 && progress.calls_done < progress.calls)) return;
  last_ = time;
  drawn_ = true;
  constexpr int width = 30;
  const double share = static_cast<double>(progress.calls_done) / static_cast<double>(progress.calls);
  const int full = static_cast<int>(share * width);
  const double left = share > 0 ? (time - started_) * (1 - share) / share : 0;
  std::fprintf(stderr, "\r[%s%s] %lld/%lld samples, %lld/%lld calls, %.0f s left \033[K",
               std::string(full, '#').c_str(), std::string(width - full, '.').c_str(),
               static_cast<long long>(progress.samples_done), static_cast<long long>(progress.samples),
               static_cast<long long>(progress.calls_done), static_cast<long long>(progress.calls), left);
  std::fflush(stderr);
}

Result generate_with_bar(const Generator& generator, const Request& request, bool quiet) {
  Interrupt interrupt;
  ProgressBar bar(quiet);
  const OnProgress on_progress = [&](const Progress& progress) {
    interrupt.poll();
    bar.show(progress);
  };
  Result result = generator.generate(request, on_progress, interrupt.token());
  if (result.report.stopped) throw StoppedByUser{"nothing was written"};
  return result;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      std::cout << (i ? "  " : "") << (i ? std::right : std::left) << std::setw(static_cast<int>(widths[i])) << row[i];
    }
    std::cout << '\n';
  }
}

std::string fixed(double value, int digits) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

}  // namespace onestep
