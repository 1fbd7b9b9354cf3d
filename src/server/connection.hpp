#pragma once

#include <httplib.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "refusal.hpp"

namespace onestep {

namespace http = httplib;

/// Between two looks at whether a client is still there.
constexpr std::chrono::milliseconds patience{50};

/// httplib's server, on connections of its own. A request's head has a bound in bytes and in time, and its body a
/// length that is given before it comes; what breaks such a rule, and what `check` refuses, is answered before the body
/// is read, and its connection closed: what came after would be read as another request.
class Listener : public http::Server {
 public:
  /// `clients`: connections at once, `body`: bytes of a request's body, at most.
  Listener(std::int64_t clients, std::int64_t body);

  /// Asked once a request's head is there.
  std::function<std::optional<Refusal>(const http::Request&)> check;

 protected:
  bool process_and_close_socket(socket_t socket) override;

 private:
  std::int64_t body_;
};

void answer_refusal(http::Response& response, const Refusal& refusal);

/// Whether work for the client whose request this thread answers is still wanted: he is there, and its time is not up.
class Watch {
 public:
  explicit Watch(std::int64_t seconds) : seconds_(seconds) {}

  bool go_on();
  /// Throws Refusal (503) where its time was up.
  void require_in_time() const;

 private:
  std::int64_t seconds_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool late_ = false;
};

}  // namespace onestep
