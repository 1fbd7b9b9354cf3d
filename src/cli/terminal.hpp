#pragma once

#include <array>
#include <csignal>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "onestep/generator.hpp"

namespace onestep {

// All that the program says goes through here: what a model, a file or a user calls something can hold anything.

/// As a terminal may be given it, in one line: control characters as JSON escapes them, U+FFFD for what is no UTF-8.
std::string shown(const std::string& text);

/// JSON whatever its strings hold: U+FFFD for what is no UTF-8, every control character escaped. indent < 0: one line.
std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

/// To standard output.
void print_json(const nlohmann::ordered_json& json);
void print_line(const std::string& text);

/// The label as --label takes it: its name, or its index where it has none of its own.
std::string label_text(std::int64_t label, const ModelInfo& info);

/// To standard error, after the program's name.
void complain(const std::string& text);

/// Thrown once a command that the user stopped has kept what was finished; the message says what that is.
struct StoppedByUser {
  std::string message;
};

/// Ctrl-C, SIGTERM and SIGHUP, once: asks the work to stop between network calls. The same one again ends the program
/// at once. While it lives, files are written whole: it is to live until they are.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();

  std::stop_token token() const { return source_.get_token(); }
  /// To be called now and then from ordinary code: a signal handler may not do more than leave a mark.
  void poll();

 private:
  static constexpr std::array signals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, signals.size()> before_;
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
  double started_, last_ = 0;
};

/// Polls for a stop and shows the progress; both must outlive it.
OnProgress on_bar(ProgressBar& bar, Interrupt& interrupt);

/// Samples with a progress bar. Stopped: StoppedByUser, for nothing was written.
Result generate_with_bar(const Generator& generator, const Request& request, Interrupt& interrupt, bool quiet);

/// Rows of cells as aligned columns on standard output, the first row the heading; the first column flush left.
void print_table(std::vector<std::vector<std::string>> rows);

/// `value` with this many digits after the point.
std::string fixed(double value, int digits);

}  // namespace onestep
