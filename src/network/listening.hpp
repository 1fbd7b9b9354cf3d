#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace onestep {

/// While it lives, what networks print and libtorch warns of on this thread goes to the message handler.
class Listening : private c10::WarningHandler {
 public:
  /// network: what is loaded or called, by its file. It must outlive this.
  explicit Listening(const std::string& network);
  ~Listening() override;

 private:
  static void print(const std::string& text);
  void process(const c10::Warning& warning) override;

  const std::string& network_;
  const Listening* before_;
  c10::WarningUtils::WarningHandlerGuard guard_;
};

}  // namespace onestep
