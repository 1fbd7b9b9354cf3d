#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compute.hpp"
#include "wire.hpp"

namespace onestep {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;                ///< 0: one that is free.
  std::string token = "";         ///< That callers must give; needed where the host is not this machine alone.
  std::int64_t body = 32 << 20;   ///< Bytes of a request, at most.
  std::int64_t count = 1000;      ///< Samples of a request, at most.
  std::int64_t pixels = 1 << 24;  ///< Of a part of a plane, at most.
  std::int64_t seconds = 300;     ///< That a request may take.
  std::int64_t clients = 256;     ///< Connections at once, and half as many of one address at most.
  ComputeBounds compute = {};
};

/// The page and the HTTP API. docs/serve.md and /api/openapi.json say what it answers.
class WebServer {
 public:
  /// Throws Error (usage) on options that can't be, and where the address can't be listened at.
  WebServer(std::vector<std::unique_ptr<ServedModel>> models, const ServerOptions& options);
  ~WebServer();

  int port() const;
  /// Until stop(). What runs then is finished.
  void listen();
  /// From any thread.
  void stop();

 private:
  class Routes;
  std::unique_ptr<Routes> routes_;
};

}  // namespace onestep
