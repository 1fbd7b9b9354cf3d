#include "server.hpp"

#include <sys/socket.h>

#include <map>
#include <regex>

#include "access.hpp"
#include "drawing.hpp"
#include "embedded.hpp"
#include "onestep/error.hpp"
#include "openai_images.hpp"
#include "pieces.hpp"
#include "planes.hpp"
#include "terminal.hpp"

namespace onestep {

class WebServer::Routes {
 public:
  Routes(std::vector<std::unique_ptr<ServedModel>> models, const ServerOptions& options);

  Listener listener;
  int port = 0;

 private:
  using Handler = std::function<void(const http::Request&, http::Response&)>;

  /// An address, and the one method that it takes.
  struct Route {
    std::regex path;
    std::string method;
  };

  void add(const std::string& method, const std::string& path, Handler handler);
  void add_routes();
  std::optional<Refusal> refusal_of_route(const http::Request& request) const;
  void metrics(http::Response& response);
  void page(const std::string& name, http::Response& response) const;

  ServerOptions options_;
  ServedModels models_;
  Drawing drawing_;
  Turns turns_;
  Planes planes_;
  Pieces pieces_;
  std::vector<Route> routes_;
  std::mutex mutex_;
  std::map<std::string, std::int64_t> open_;      ///< Requests by address.
  std::map<std::string, std::int64_t> answered_;  ///< By route and status.
};

WebServer::Routes::Routes(std::vector<std::unique_ptr<ServedModel>> models, const ServerOptions& options)
    : listener(options.clients, options.body),
      options_(options),
      models_(std::move(models)),
      drawing_(models_, options_),
      turns_(options_.seconds),
      planes_(models_, options_, turns_),
      pieces_(models_, turns_) {
  require_closed(options);
  listener.set_tcp_nodelay(true);
  listener.set_keep_alive_max_count(10'000);
  socket_t listening = INVALID_SOCKET;
  listener.set_socket_options([&listening](socket_t socket) {
    listening = socket;
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  listener.set_default_headers(
      {{"X-Content-Type-Options", "nosniff"},
       {"X-Frame-Options", "DENY"},
       {"Referrer-Policy", "no-referrer"},
       {"Cross-Origin-Resource-Policy", "same-origin"},
       {"Content-Security-Policy",
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"}});
  listener.check = [this](const http::Request& request) {
    const std::optional<Refusal> refusal = refusal_of_access(request, options_, port);
    return refusal ? refusal : refusal_of_route(request);
  };
  // What httplib refuses itself.
  listener.set_error_handler(http::Server::HandlerWithResponse([](const http::Request&, http::Response& response) {
    if (!response.body.empty() || response.status < 400) return http::Server::HandlerResponse::Unhandled;
    answer_refusal(response, {response.status, "the request can't be read"});
    return http::Server::HandlerResponse::Handled;
  }));
  add_routes();
  port = options.port == 0 ? listener.bind_to_any_port(options.host)
                           : (listener.bind_to_port(options.host, options.port) ? options.port : -1);
  if (port < 0) {
    throw Error(ErrorKind::usage, "--host " + options.host + " --port " + std::to_string(options.port) +
                                      ": can't be listened at; another program may, or --port 0 finds a free one");
  }
  // httplib lets five wait; of more that come at once, the system would have some try again after a second.
  ::listen(listening, static_cast<int>(options.clients));
}

void WebServer::Routes::add(const std::string& method, const std::string& path, Handler handler) {
  const std::string name = path.substr(0, path.find('('));
  const auto counted = [this, handler = std::move(handler), name](const http::Request& request,
                                                                  http::Response& response) {
    const std::int64_t most = options_.clients / 2;
    bool many = false;
    {
      const std::lock_guard lock(mutex_);
      many = ++open_[request.remote_addr] > most;
    }
    try {
      if (many)
        throw Refusal{429, "more than " + std::to_string(most) + " requests at once of one address", "clients", 1};
      handler(request, response);
    } catch (...) {
      answer_refusal(response, refusal_of(std::current_exception()));
    }
    const std::lock_guard lock(mutex_);
    if (--open_[request.remote_addr] == 0) open_.erase(request.remote_addr);
    const int status = response.status < 0 ? 200 : response.status;
    ++answered_["path=\"" + name + "\",status=\"" + std::to_string(status) + "\""];
  };
  routes_.push_back({std::regex(path), method});
  if (method == "GET")
    listener.Get(path, counted);
  else
    listener.Post(path, counted);
}

void WebServer::Routes::add_routes() {
  using In = const http::Request&;
  using Out = http::Response&;
  add("GET", "/api/models", [this](In, Out response) {
    response.set_content(json_text({{"version", ONESTEP_VERSION}, {"models", models_.described()}}),
                         "application/json");
  });
  add("POST", "/api/generate", [this](In request, Out response) { drawing_.generate(request, response); });
  add("POST", "/api/edit", [this](In request, Out response) { drawing_.edit(request, response); });
  add("POST", "/api/compose", [this](In request, Out response) { pieces_.compose(request, response); });
  add("POST", "/api/canvas", [this](In request, Out response) { planes_.part(request, response); });
  add("GET", R"(/api/canvas/([^/]+)/([^/]+)/([^/]+)/([^/]+)/([^/]+)/([^/]+)\.png)",
      [this](In request, Out response) { planes_.tile(request, response); });
  add("POST", "/v1/images/generations", [this](In request, Out response) {
    answer_openai_images(request, response, models_, options_, drawing_, planes_);
  });
  add("GET", "/healthz", [](In, Out response) { response.set_content(R"({"status": "ok"})", "application/json"); });
  add("GET", "/metrics", [this](In, Out response) { metrics(response); });
  add("GET", "/api/openapi.json", [this](In, Out response) { page("openapi.json", response); });
  add("GET", "/", [this](In, Out response) { page("index.html", response); });
  add("GET", R"(/page/([A-Za-z0-9_.-]+))", [this](In request, Out response) { page(request.matches[1], response); });
}

std::optional<Refusal> WebServer::Routes::refusal_of_route(const http::Request& request) const {
  for (const Route& route : routes_) {
    if (!std::regex_match(request.path, route.path)) continue;
    const bool fits = request.method == route.method || (request.method == "HEAD" && route.method == "GET");
    if (fits) return {};
    return Refusal{.status = 405,
                   .message = request.method + " " + request.path + ": it takes " + route.method + " alone",
                   .allow = route.method == "GET" ? "GET, HEAD" : route.method};
  }
  return Refusal{404, request.path + " is not here; /api/openapi.json says what is"};
}

void WebServer::Routes::metrics(http::Response& response) {
  const ComputeCounts counts = drawing_.counts();
  std::string text;
  const auto add_line = [&](const std::string& name, const char* type, const char* help, const std::string& value) {
    text += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n" + name + " " + value + "\n";
  };
  add_line("onestep_samples_total", "counter", "Samples drawn.", std::to_string(counts.samples));
  add_line("onestep_batches_total", "counter", "Batches in which they were drawn.", std::to_string(counts.batches));
  add_line("onestep_batch_seconds_total", "counter", "Seconds spent in batches.", std::to_string(counts.seconds));
  add_line("onestep_waiting_samples", "gauge", "Samples that wait.", std::to_string(counts.waiting));
  text += "# HELP onestep_requests_total Requests answered.\n# TYPE onestep_requests_total counter\n";
  const std::lock_guard lock(mutex_);
  for (const auto& [what, count] : answered_)
    text += "onestep_requests_total{" + what + "} " + std::to_string(count) + "\n";
  response.set_content(text, "text/plain; version=0.0.4");
}

void WebServer::Routes::page(const std::string& name, http::Response& response) const {
  static const std::map<std::string, const char*> types{{"html", "text/html; charset=utf-8"},
                                                        {"css", "text/css; charset=utf-8"},
                                                        {"js", "text/javascript; charset=utf-8"},
                                                        {"svg", "image/svg+xml"},
                                                        {"json", "application/json"}};
  for (const EmbeddedFile& file : embedded_files()) {
    if (name != file.name) continue;
    response.set_header("Cache-Control", "no-cache");
    response.set_content(std::string(file.content), types.at(name.substr(name.rfind('.') + 1)));
    return;
  }
  throw Refusal{404, "/page/" + name + " is not here"};
}

WebServer::WebServer(std::vector<std::unique_ptr<ServedModel>> models, const ServerOptions& options)
    : routes_(std::make_unique<Routes>(std::move(models), options)) {}
WebServer::~WebServer() = default;

int WebServer::port() const { return routes_->port; }
void WebServer::listen() { routes_->listener.listen_after_bind(); }
void WebServer::stop() { routes_->listener.stop(); }

}  // namespace onestep
