#include "connection.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "terminal.hpp"

namespace onestep {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t most_head = 64 << 10;  // bytes of a request's first line and headers
constexpr auto longest_head = 30s, longest_pause = 30s;

/// A thread for each connection, up to a number; further ones wait for one that ends. httplib's pool keeps its threads,
/// and with them what the deepest of its regular expressions took of each stack.
class Threads final : public http::TaskQueue {
 public:
  explicit Threads(std::int64_t most) : most_(most) {}

  void enqueue(std::function<void()> connection) override {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(connection));
    if (running_ == most_) return;
    ++running_;
    try {
      std::thread([this] { run(); }).detach();
    } catch (const std::system_error&) {
      --running_;  // no more threads can be had: it waits
    }
  }

  void shutdown() override {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!waiting_.empty()) {
      const std::function<void()> connection = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      connection();
      lock.lock();
    }
    --running_;
    std::notify_all_at_thread_exit(ended_, std::move(lock));
  }

  std::int64_t most_, running_ = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::deque<std::function<void()>> waiting_;
};

/// A client's connection, as httplib reads and writes it.
class Connection final : public http::Stream {
 public:
  explicit Connection(socket_t socket) : socket_(socket) {}
  Connection(const Connection&) = delete;
  ~Connection() override { close(); }

  std::optional<Refusal> refusal;  ///< Of the request that is answered.

  /// Whether a request begins before its time is up and the server ends.
  bool next_request(std::chrono::seconds longest, const std::function<bool()>& ends) {
    const auto until = Clock::now() + longest;
    while (!ends() && Clock::now() < until) {
      if (begin_ < end_ || wait_for(POLLIN, patience)) {
        head_left_ = most_head;
        head_until_ = Clock::now() + longest_head;
        refusal.reset();
        return true;
      }
    }
    return false;
  }
  void end_head() { head_left_ = 0; }
  /// Whether the next request begins where this one ends.
  bool can_go_on() const { return head_left_ == 0 && !refusal; }

  bool client_is_there() const {
    char byte;
    const ssize_t got = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
  }

  bool is_readable() const override { return begin_ < end_ || wait_for(POLLIN, longest_pause); }
  bool is_writable() const override { return wait_for(POLLOUT, longest_pause) && client_is_there(); }

  ssize_t read(char* to, std::size_t size) override {
    if (begin_ == end_) {
      if (!is_readable()) return -1;
      const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), 0);
      if (got <= 0) return got;
      begin_ = 0;
      end_ = static_cast<std::size_t>(got);
    }
    size = std::min(size, end_ - begin_);
    if (head_left_ > 0) {
      if (size >= head_left_ || Clock::now() > head_until_) return -1;
      head_left_ -= size;
    }
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), size, to);
    begin_ += size;
    return static_cast<ssize_t>(size);
  }

  ssize_t write(const char* from, std::size_t size) override {
    return wait_for(POLLOUT, longest_pause) ? send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override { address_of(getpeername, ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { address_of(getsockname, ip, port); }
  socket_t socket() const override { return socket_; }

 private:
  bool wait_for(short what, std::chrono::milliseconds longest) const {
    pollfd entry{socket_, what, 0};
    return poll(&entry, 1, static_cast<int>(longest.count())) > 0;
  }

  void address_of(int (*get)(int, sockaddr*, socklen_t*), std::string& ip, int& port) const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> service{};
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (get(socket_, any, &size) != 0 || getnameinfo(any, size, host.data(), host.size(), service.data(),
                                                     service.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
      return;
    ip = host.data();
    port = std::atoi(service.data());
  }

  void close() {
    shutdown(socket_, SHUT_WR);
    // Where something is left unread, the system throws away the answer too.
    const auto until = Clock::now() + 1s;
    while (!can_go_on() && Clock::now() < until && wait_for(POLLIN, patience) &&
           recv(socket_, buffer_.data(), buffer_.size(), 0) > 0) {
    }
    ::close(socket_);
  }

  socket_t socket_;
  std::array<char, 16 << 10> buffer_;
  std::size_t begin_ = 0, end_ = 0;  ///< Of what was received and not yet read.
  std::size_t head_left_ = 0;        ///< Bytes that the head may still have; 0: it was read.
  Clock::time_point head_until_;
};

/// Of the request that this thread answers.
thread_local Connection* current = nullptr;

/// httplib would take a body in chunks of any number, unpack it to any size, and wait for one whose length is not
/// given.
std::optional<Refusal> refusal_of_framing(const http::Request& request, std::int64_t most) {
  const bool has_body = std::set<std::string>{"POST", "PUT", "PATCH", "DELETE"}.contains(request.method);
  if (request.has_header("Transfer-Encoding"))
    return Refusal{411, "Transfer-Encoding: a body's length must be given by Content-Length"};
  const std::size_t lengths = request.get_header_value_count("Content-Length");
  const std::string length = request.get_header_value("Content-Length");
  if (lengths > 1 || (lengths == 1 && (length.empty() || length.size() > 18 ||
                                       length.find_first_not_of("0123456789") != std::string::npos)))
    return Refusal{400, "Content-Length " + shown(length) + " must be one whole number"};
  const std::int64_t bytes = lengths == 1 ? std::stoll(length) : 0;
  if (bytes > most) return Refusal{413, "the request has more than " + std::to_string(most) + " bytes", "body"};
  if (has_body && lengths == 0) return Refusal{411, "Content-Length is missing"};
  if (!has_body && bytes > 0) return Refusal{400, "a request of " + request.method + " has no body"};
  const std::string coding = request.get_header_value("Content-Encoding");
  if (!coding.empty() && coding != "identity")
    return Refusal{415, "Content-Encoding " + shown(coding) + ": a body must come as it is"};
  return {};
}

}  // namespace

Listener::Listener(std::int64_t clients, std::int64_t body) : body_(body) {
  new_task_queue = [clients] { return new Threads(clients); };
  set_payload_max_length(static_cast<std::size_t>(body));
  set_pre_routing_handler([](const http::Request&, http::Response& response) {
    if (!current->refusal) return HandlerResponse::Unhandled;
    answer_refusal(response, *current->refusal);
    return HandlerResponse::Handled;
  });
}

bool Listener::process_and_close_socket(socket_t socket) {
  Connection connection(socket);
  current = &connection;
  const auto ends = [this] { return svr_sock_ == INVALID_SOCKET; };
  bool answered = false;
  for (std::size_t left = keep_alive_max_count_; left > 0; --left) {
    if (!connection.next_request(std::chrono::seconds(keep_alive_timeout_sec_), ends)) break;
    bool closed = false;
    answered = process_request(connection, left == 1, closed, [&](http::Request& request) {
      connection.end_head();
      request.ranges.clear();                 // answers are whole: many ranges of one would be larger than it
      request.headers.erase("Content-Type");  // a body is JSON; httplib would read a form, up to 8 KiB
      connection.refusal = check(request);
      if (!connection.refusal) connection.refusal = refusal_of_framing(request, body_);
      if (connection.refusal) {
        request.headers.erase("Connection");
        request.headers.emplace("Connection", "close");
      }
    });
    if (!answered || closed || !connection.can_go_on()) break;
  }
  current = nullptr;
  return answered;
}

void answer_refusal(http::Response& response, const Refusal& refusal) {
  response.status = refusal.status;
  if (refusal.retry_after > 0) response.set_header("Retry-After", std::to_string(refusal.retry_after));
  if (refusal.status == 401) response.set_header("WWW-Authenticate", "Bearer");
  if (!refusal.allow.empty()) response.set_header("Allow", refusal.allow);
  response.set_content(json_text(to_json(refusal)), "application/json");
}

bool Watch::go_on() {
  late_ = Clock::now() - started_ > std::chrono::seconds(seconds_);
  return !late_ && current->client_is_there();
}

void Watch::require_in_time() const {
  if (late_) throw Refusal{503, "not done within " + std::to_string(seconds_) + " s; ask for less at once", "time", 5};
}

}  // namespace onestep
