#pragma once

#include <memory>
#include <vector>

#include "served_models.hpp"
#include "server_options.hpp"

namespace onestep {

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
