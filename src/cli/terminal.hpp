#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "onestep/generator.hpp"

namespace onestep {

/// Thrown once a command that the user stopped has kept what was finished; the message says what that is.
struct StoppedByUser {
  std::string message;
};

/// Ctrl-C and SIGTERM, once: asks the work to stop between network calls. A second one ends the program at once.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();

  std::stop_token token() const { return source_.get_token(); }
  /// To be called now and then from ordinary code: a signal handler may not do more than leave a mark.
  void poll();

 private:
  std::stop_source source_;
};

/// A bar on standard error with the speed and the time left; nothing when that is no terminal, or when quiet.
class ProgressBar {
 public:
  explicit ProgressBar(bool quiet);
  ~ProgressBar();
  void show(const Progress& progress);

 private:
  bool shown_;
  bool drawn_ = false;
  double started_, last_ = 0;
};

/// Samples with a progress bar, stopped by Ctrl-C: StoppedByUser, for nothing was written.
Result generate_with_bar(const Generator& generator, const Request& request, bool quiet);

/// Rows of cells as aligned columns on standard output, the first row the heading; the first column flush left.
void print_table(const std::vector<std::vector<std::string>>& rows);

/// `value` with this many digits after the point.
std::string fixed(double value, int digits);

}  // namespace onestep
