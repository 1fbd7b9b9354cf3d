// What a client sends: HTTP, and JSON in it, by the server's own connection at one end of a pair of sockets.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "access.hpp"
#include "bounded_json.hpp"
#include "connection.hpp"
#include "only_errors.hpp"
#include "request_fields.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

/// Every kind of field that a request has, read and written again.
std::string answer_to(const http::Request& request) {
  Json body = parse_request(request.body), read;
  read["text"] = take_text(body, "text").value_or("");
  read["flag"] = take_flag(body, "flag");
  if (const auto whole = take_whole(body, "whole", -9, std::int64_t{1} << 62)) {
    if (*whole < -9) __builtin_trap();
    read["whole"] = *whole;
  }
  if (const auto wholes = take_wholes(body, "wholes", 2, 1, 99)) read["wholes"] = *wholes;
  if (const auto number = take_number(body, "number", 0, 1e6)) {
    read["number"] = number_text(*number);
    if (std::strtod(number_text(*number).c_str(), nullptr) != *number) __builtin_trap();
  }
  if (const auto text = take_text(body, "bytes")) {
    const std::vector<std::byte> bytes = from_base64(*text, "bytes");
    if (bytes != from_base64(base64(bytes), "bytes")) __builtin_trap();
  }
  if (!body.empty()) refuse_field(body.begin().key(), body.front(), "a known field");
  read["kind"] = liked_best(request.get_header_value("Accept"), {"image/png", "image/webp", "audio/wav"}, "this");
  return json_text(read);
}

class FuzzedListener : public Listener {
 public:
  FuzzedListener() : Listener(2, 1 << 16) {
    svr_sock_ = 0;                // one that does not listen ends at once
    set_keep_alive_max_count(8);  // what so many are answered fits a socket
    check = [this](const http::Request& request) { return refusal_of_access(request, options_, options_.port); };
    const auto answer = [](const http::Request& request, http::Response& response) {
      try {
        response.set_content(answer_to(request), "application/json");
      } catch (...) {
        answer_refusal(response, refusal_of(std::current_exception()));
      }
    };
    Post("/fields", answer);
    Post("/api/fields", answer);
    Get("/([a-z0-9.]+)", [](const http::Request& request, http::Response& response) {
      response.set_content(shown(request.matches[1]) + shown(request.get_param_value("a")), "text/plain");
    });
    set_logger([this](const http::Request&, const http::Response& response) {
      // No fault of the server's own, and nothing behind the end of a connection taken for a request.
      if (response.status >= 500 || closed_) __builtin_trap();
      closed_ = response.get_header_value("Connection") == "close";
    });
  }

  void answer(const std::uint8_t* data, std::size_t size) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) std::abort();
    if (send(ends[0], data, size, 0) != static_cast<ssize_t>(size)) std::abort();
    shutdown(ends[0], SHUT_WR);
    closed_ = false;
    process_and_close_socket(ends[1]);
    ::close(ends[0]);
  }

 private:
  ServerOptions options_{.token = "0123456789abcdef"};
  bool closed_ = false;
};

}  // namespace
}  // namespace onestep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static onestep::FuzzedListener listener;
  listener.answer(data, size);
  return 0;
}

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

/// What changes a request here, sets the length of its body right: else hardly a body would be read.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (seed % 8 == 0) return size;  // wrong ones, too
  const std::string text = onestep::as_text(data, size), name = "Content-Length: ";
  const std::size_t head = text.find("\r\n\r\n"), at = text.find(name);
  if (head == std::string::npos || at >= head) return size;
  const std::size_t from = at + name.size();
  const std::string right =
      text.substr(0, from) + std::to_string(size - head - 4) + text.substr(text.find("\r\n", from));
  if (right.size() > most) return size;
  std::memcpy(data, right.data(), right.size());
  return right.size();
}
