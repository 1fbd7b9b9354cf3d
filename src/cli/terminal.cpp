#include "terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "onestep/request_json.hpp"
#include "progress_text.hpp"

namespace onestep {
namespace {

volatile std::sig_atomic_t interrupted = 0;

bool bar_is_drawn = false;  // on the last line of standard error

std::string& speaker() {
  static std::string name = "onestep";
  return name;
}

void erase_bar() {
  if (bar_is_drawn) std::fputs("\r\033[K", stderr);
  bar_is_drawn = false;
}

void mark_interrupted(int) { interrupted = 1; }

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

void print_json(const nlohmann::ordered_json& json) { std::cout << json_text(json, 1) << '\n'; }

void print_line(const std::string& text) { std::cout << shown(text) << '\n'; }

void complain(const std::string& text) {
  erase_bar();
  std::cerr << speaker() << ": " << shown(text) << '\n';
}

void speak_as(const std::string& name) { speaker() = name; }

Interrupt::Interrupt() {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = mark_interrupted;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  for (std::size_t i = 0; i < signals.size(); ++i) {
    sigaction(signals[i], nullptr, &before_[i]);
    // nohup has the program ignore that its terminal is gone.
    if (signals[i] != SIGHUP || before_[i].sa_handler != SIG_IGN) sigaction(signals[i], &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &before_[i], nullptr);
}

void Interrupt::poll() {
  if (interrupted) source_.request_stop();
}

ProgressBar::ProgressBar(bool quiet) : shown_(!quiet && isatty(STDERR_FILENO)), started_(now()) {}

ProgressBar::~ProgressBar() { erase_bar(); }

void ProgressBar::show(const Progress& progress) {
  const double time = now();
  // Ten times a second is as much as anyone can read.
  if (!shown_ || progress.calls == 0 || (time - last_ < 0.1 && progress.calls_done < progress.calls)) return;
  last_ = time;
  bar_is_drawn = true;
  std::fprintf(stderr, "\r%s \033[K", bar_text(progress, time - started_).c_str());
  std::fflush(stderr);
}

std::string bar_text(const Progress& progress, double seconds) {
  constexpr int width = 20;
  const double share = static_cast<double>(progress.calls_done) / static_cast<double>(progress.calls);
  const int full = static_cast<int>(share * width);
  const double left = share > 0 ? seconds * (1 - share) / share : 0;
  const double rate = seconds > 0 ? share * static_cast<double>(progress.samples) / seconds : 0;
  const auto of = [](std::int64_t done, std::int64_t all) { return std::to_string(done) + "/" + std::to_string(all); };
  return "[" + std::string(full, '#') + std::string(width - full, '.') + "] " +
         of(progress.samples_done, progress.samples) + " samples, " + fixed(rate, rate < 10 ? 1 : 0) + "/s, " +
         of(progress.calls_done, progress.calls) + " calls, " + fixed(left, 0) + " s left";
}

std::string label_text(std::int64_t label, const ModelInfo& info) {
  return name_of_label(label, info).value_or(std::to_string(label));
}

OnProgress on_bar(ProgressBar& bar, Interrupt& interrupt) {
  return [&](const Progress& progress) {
    interrupt.poll();
    bar.show(progress);
  };
}

Result generate_with_bar(const Generator& generator, const Request& request, Interrupt& interrupt, bool quiet) {
  ProgressBar bar(quiet);
  Result result = generator.generate(request, on_bar(bar, interrupt), interrupt.token());
  if (result.report.stopped) throw StoppedByUser{"nothing was written"};
  return result;
}

void print_table(std::vector<std::vector<std::string>> rows) {
  // A byte of UTF-8 that goes on with a character takes no room of its own.
  const auto width = [](const std::string& cell) {
    return static_cast<std::size_t>(std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xc0) != 0x80; }));
  };
  std::vector<std::size_t> widths;
  for (auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = shown(row[i]);
      widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width(row[i]), ' ');
      std::cout << (i ? "  " + space + row[i] : row[i] + space);
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
