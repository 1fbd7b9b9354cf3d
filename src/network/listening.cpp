#include "listening.hpp"

#include <torch/csrc/jit/runtime/print_handler.h>

#include <memory>
#include <mutex>

#include "onestep/messages.hpp"

namespace onestep {
namespace {

std::mutex mutex;
std::shared_ptr<const MessageHandler> handler;

thread_local const Listening* innermost = nullptr;
torch::jit::PrintHandler of_others = nullptr;  // of networks that are not ours

void hand_over(const std::string& network, std::string text) {
  std::shared_ptr<const MessageHandler> current;
  {
    const std::lock_guard lock(mutex);
    current = handler;
  }
  if (!current) return;
  if (text.ends_with('\n')) text.pop_back();
  try {
    (*current)({network, text});
  } catch (...) {  // it would be taken for the network's failure
  }
}

}  // namespace

void set_message_handler(MessageHandler given) {
  auto next = given ? std::make_shared<const MessageHandler>(std::move(given)) : nullptr;
  const std::lock_guard lock(mutex);
  handler = std::move(next);
}

Listening::Listening(const std::string& network) : network_(network), before_(innermost), guard_(this) {
  innermost = this;
  static const bool once = [] {
    of_others = torch::jit::getPrintHandler();
    torch::jit::setPrintHandler(print);
    return true;
  }();
  static_cast<void>(once);
}

Listening::~Listening() { innermost = before_; }

void Listening::print(const std::string& text) {
  if (innermost) {
    hand_over(innermost->network_, text);
  } else {
    of_others(text);
  }
}

void Listening::process(const c10::Warning& warning) { hand_over(network_, warning.msg()); }

}  // namespace onestep
