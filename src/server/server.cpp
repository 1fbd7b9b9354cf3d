#include "server.hpp"

#include <arpa/inet.h>
#include <httplib.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <semaphore>
#include <set>

#include "bounded_json.hpp"
#include "edit_tasks.hpp"
#include "embedded.hpp"
#include "onestep/interpolate.hpp"
#include "onestep/request_json.hpp"
#include "picture_file.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

namespace http = httplib;
using namespace std::chrono_literals;

constexpr const char* json_type = "application/json";
constexpr auto patience = 50ms;  // between two looks at whether a client is still there

/// Who asked, and whether he is still there to be answered. httplib gives handlers no socket: it is looked for among
/// this process's, where it stays open as long as the handler runs.
class Client {
 public:
  explicit Client(const http::Request& request) : port_(request.remote_port), address_(request.remote_addr) {}

  bool is_there() {
    if (!socket_) socket_ = find();
    if (*socket_ < 0) return true;  // by all that is known
    char byte;
    const ssize_t got = recv(*socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
  }

 private:
  int find() const {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
      const int descriptor = std::atoi(entry.path().filename().c_str());
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
      std::array<char, INET6_ADDRSTRLEN> text{};
      const auto* four = reinterpret_cast<const sockaddr_in*>(&peer);
      const auto* six = reinterpret_cast<const sockaddr_in6*>(&peer);
      const bool is_six = peer.ss_family == AF_INET6;
      if (!is_six && peer.ss_family != AF_INET) continue;
      const void* bytes = is_six ? static_cast<const void*>(&six->sin6_addr) : &four->sin_addr;
      inet_ntop(peer.ss_family, bytes, text.data(), text.size());
      if (ntohs(is_six ? six->sin6_port : four->sin_port) == port_ && address_ == text.data()) return descriptor;
    }
    return -1;
  }

  int port_;
  std::string address_;
  std::optional<int> socket_;
};

/// Whether work for a client is still wanted: he is there, and its time is not up.
class Watch {
 public:
  Watch(const http::Request& request, std::int64_t seconds) : client_(request), seconds_(seconds) {}

  bool go_on() {
    late_ = std::chrono::steady_clock::now() - started_ > std::chrono::seconds(seconds_);
    return !late_ && client_.is_there();
  }

  /// Throws Refusal (503) where its time was up.
  void require_in_time() const {
    if (late_)
      throw Refusal{503, "not done within " + std::to_string(seconds_) + " s; ask for less at once", "time", 5};
  }

 private:
  Client client_;
  std::int64_t seconds_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool late_ = false;
};

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

/// As long for a wrong token as for the right one of its length.
bool same(const std::string& a, const std::string& b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i] ^ b[b.empty() ? 0 : i % b.size()]);
  return difference == 0;
}

/// "host:port", "[::1]:port" without the port.
std::string without_port(const std::string& authority) {
  const std::size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string::npos && authority.find(']', colon) == std::string::npos &&
                        (authority.find(':') == colon || authority.starts_with('['));
  std::string host = has_port ? authority.substr(0, colon) : authority;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct AnswerKind {
  const char* media_type;
  FileKind kind;
};
constexpr std::array<AnswerKind, 6> file_answers{{{"image/png", FileKind::png},
                                                  {"image/webp", FileKind::webp},
                                                  {"image/jpeg", FileKind::jpeg},
                                                  {"audio/wav", FileKind::wav},
                                                  {"application/x-npz", FileKind::npz},
                                                  {"application/x-npy", FileKind::npy}}};

}  // namespace

class WebServer::Routes {
 public:
  Routes(std::vector<std::unique_ptr<ServedModel>> models, const ServerOptions& options);

  http::Server listener;
  int port = 0;

 private:
  struct Prepared {
    const ServedModel* model;
    Request request;
    int columns = 0, enlarge = 1;
    bool previews = false, is_edit = false;
  };

  void add_routes();
  void add(const char* method, const std::string& path, void (Routes::*handler)(const http::Request&, http::Response&));
  std::optional<Refusal> guard(const http::Request& request) const;
  void refuse(http::Response& response, const Refusal& refusal) const;
  Refusal refusal_of(const std::exception_ptr& error) const;

  const ServedModel& model(const std::string& name) const;
  const ServedModel& take_model(Json& body) const;
  Prepared prepare(Json body);
  Prepared prepare_edit(Json body);
  /// Draws and answers in the kind that is asked for.
  void answer(Prepared prepared, const http::Request& request, http::Response& response);
  void stream(Prepared prepared, const http::Request& request, http::Response& response);
  static Json report_of(const Prepared& prepared, const Job& job);
  std::vector<Sample> samples_of(const Prepared& prepared, const http::Request& request, Json* report);
  Region region_of(const Canvas& plane, const Rectangle& rectangle, const http::Request& request);
  std::shared_ptr<const Canvas> tile_canvas(const ServedModel& model, std::uint64_t seed, const std::string& label,
                                            int steps);

  void models(const http::Request&, http::Response&);
  void generate(const http::Request&, http::Response&);
  void edit(const http::Request&, http::Response&);
  void canvas(const http::Request&, http::Response&);
  void tile(const http::Request&, http::Response&);
  void openai_images(const http::Request&, http::Response&);
  void health(const http::Request&, http::Response&);
  void metrics(const http::Request&, http::Response&);
  void page(const http::Request&, http::Response&);

  ServerOptions options_;
  std::vector<std::unique_ptr<ServedModel>> models_;
  Compute compute_;
  std::counting_semaphore<> planes_{2};  ///< Of which parts are drawn at once.
  std::mutex mutex_;
  std::map<std::string, std::int64_t> open_;                             ///< Requests by address.
  std::map<std::string, std::int64_t> answered_;                         ///< By route and status.
  std::list<std::pair<std::string, std::shared_ptr<Canvas>>> canvases_;  ///< The one used last is the first.
};

WebServer::Routes::Routes(std::vector<std::unique_ptr<ServedModel>> models, const ServerOptions& options)
    : options_(options), models_(std::move(models)), compute_(options.compute) {
  std::set<std::string> names;
  for (const auto& model : models_) {
    const std::string& name = model->generator.info().name;
    if (!names.insert(name).second)
      throw Error(ErrorKind::usage, "two models are named " + name + "; clients could not tell them apart");
  }
  if (!is_loopback(options.host) && options.token.empty()) {
    throw Error(
        ErrorKind::usage,
        "--host " + options.host + " lets others in: give --token, a secret of 16 characters or more that they need");
  }
  if (!options.token.empty() && options.token.size() < 16)
    throw Error(ErrorKind::usage, "--token has " + std::to_string(options.token.size()) +
                                      " characters; give 16 or more, such as of `openssl rand -hex 16`");
  listener.new_task_queue = [clients = options.clients] {
    return new http::ThreadPool(static_cast<std::size_t>(clients));
  };
  listener.set_payload_max_length(static_cast<std::size_t>(options.body));
  listener.set_tcp_nodelay(true);
  listener.set_keep_alive_max_count(10'000);
  listener.set_read_timeout(30, 0);
  listener.set_write_timeout(30, 0);
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
  listener.set_pre_routing_handler([this](const http::Request& request, http::Response& response) {
    if (const std::optional<Refusal> refusal = guard(request)) {
      refuse(response, *refusal);
      return http::Server::HandlerResponse::Handled;
    }
    return http::Server::HandlerResponse::Unhandled;
  });
  // What httplib refuses itself.
  listener.set_error_handler(
      http::Server::HandlerWithResponse([this](const http::Request& request, http::Response& response) {
        if (!response.body.empty() || response.status < 400) return http::Server::HandlerResponse::Unhandled;
        Refusal refusal{response.status, "the request can't be read"};
        if (response.status == 404) refusal.message = request.path + " is not here; /api/openapi.json says what is";
        if (response.status == 413)
          refusal = {413, "the request has more than " + std::to_string(options_.body) + " bytes", "body"};
        refuse(response, refusal);
        return http::Server::HandlerResponse::Handled;
      }));
  listener.set_exception_handler([this](const http::Request&, http::Response& response, std::exception_ptr error) {
    refuse(response, refusal_of(error));
  });
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

void WebServer::Routes::add(const char* method, const std::string& path,
                            void (Routes::*handler)(const http::Request&, http::Response&)) {
  const std::string name = path.substr(0, path.find('('));
  const auto guarded = [this, handler, name](const http::Request& request, http::Response& response) {
    {
      const std::lock_guard lock(mutex_);
      if (++open_[request.remote_addr] > options_.clients / 2) {
        --open_[request.remote_addr];
        refuse(response, {429, "more than " + std::to_string(options_.clients / 2) + " requests at once of one address",
                          "clients", 1});
        return;
      }
    }
    try {
      (this->*handler)(request, response);
    } catch (...) {
      refuse(response, refusal_of(std::current_exception()));
    }
    const std::lock_guard lock(mutex_);
    if (--open_[request.remote_addr] == 0) open_.erase(request.remote_addr);
    const int status = response.status < 0 ? 200 : response.status;
    ++answered_["path=\"" + name + "\",status=\"" + std::to_string(status) + "\""];
  };
  const std::string got = method;
  const auto wrong = [this, got](const http::Request& request, http::Response& response) {
    response.set_header("Allow", got);
    refuse(response, {405, request.method + " " + request.path + ": it takes " + got + " alone"});
  };
  if (got == "GET") {
    listener.Get(path, guarded);
    listener.Post(path, wrong);
  } else {
    listener.Post(path, guarded);
    listener.Get(path, wrong);
  }
  listener.Put(path, wrong);
  listener.Patch(path, wrong);
  listener.Delete(path, wrong);
}

void WebServer::Routes::add_routes() {
  add("GET", "/api/models", &Routes::models);
  add("POST", "/api/generate", &Routes::generate);
  add("POST", "/api/edit", &Routes::edit);
  add("POST", "/api/canvas", &Routes::canvas);
  add("GET", R"(/api/canvas/([^/]+)/(\d{1,20})/([^/]+)/(-?\d{1,2})/(-?\d{1,10})/(-?\d{1,10})\.png)", &Routes::tile);
  add("POST", "/v1/images/generations", &Routes::openai_images);
  add("GET", "/healthz", &Routes::health);
  add("GET", "/metrics", &Routes::metrics);
  add("GET", "/api/openapi.json", &Routes::page);
  add("GET", "/", &Routes::page);
  add("GET", R"(/page/([A-Za-z0-9_.-]+))", &Routes::page);
}

/// A page of another host must not reach a server that only this machine is to reach (DNS rebinding).
std::optional<Refusal> WebServer::Routes::guard(const http::Request& request) const {
  const std::string host = without_port(request.get_header_value("Host"));
  if (!is_loopback(host) && (is_loopback(options_.host) || host.empty())) {
    return Refusal{403, "Host " + shown(request.get_header_value("Host")) + " is not this server; it is " +
                            options_.host + ":" + std::to_string(port)};
  }
  if (request.has_header("Origin")) {
    const std::string origin = request.get_header_value("Origin");
    const std::size_t slashes = origin.find("://");
    if (slashes == std::string::npos || origin.substr(slashes + 3) != request.get_header_value("Host"))
      return Refusal{403, "Origin " + shown(origin) + " is another page; the API is for this server's own"};
  }
  const bool needs_token = request.path.starts_with("/api/") || request.path.starts_with("/v1/");
  if (!options_.token.empty() && needs_token &&
      !same(request.get_header_value("Authorization"), "Bearer " + options_.token))
    return Refusal{401, "the header Authorization must be Bearer and the token that the server was started with"};
  return {};
}

void WebServer::Routes::refuse(http::Response& response, const Refusal& refusal) const {
  response.status = refusal.status;
  if (refusal.retry_after > 0) response.set_header("Retry-After", std::to_string(refusal.retry_after));
  if (refusal.status == 401) response.set_header("WWW-Authenticate", "Bearer");
  response.set_content(json_text(to_json(refusal)), json_type);
}

Refusal WebServer::Routes::refusal_of(const std::exception_ptr& error) const {
  try {
    std::rethrow_exception(error);
  } catch (const Refusal& refusal) {
    return refusal;
  } catch (const QueueIsFull&) {
    return {503, "more than " + std::to_string(options_.compute.queue) + " samples wait; try again in a while", "queue",
            2};
  } catch (const Error& failure) {
    switch (failure.kind()) {
      case ErrorKind::usage:
      case ErrorKind::file:
        return {422, failure.what()};
      case ErrorKind::memory:
        return {503, failure.what(), "memory", 5};
      case ErrorKind::model:
      case ErrorKind::numerical:
        break;
    }
    return {500, failure.what()};
  } catch (const std::bad_alloc&) {
    return {503, "out of memory; ask for fewer samples at once", "memory", 5};
  } catch (const std::exception& failure) {
    return {500, std::string("a fault of onestep's own: ") + failure.what()};
  } catch (...) {
    return {500, "a fault of onestep's own"};
  }
}

const ServedModel& WebServer::Routes::model(const std::string& name) const {
  std::string names;
  for (const auto& model : models_) {
    if (model->generator.info().name == name) return *model;
    names += (names.empty() ? "" : ", ") + model->generator.info().name;
  }
  throw Refusal{422, "model " + shown(name) + " is unknown; there are " + names};
}

const ServedModel& WebServer::Routes::take_model(Json& body) const {
  const std::optional<std::string> name = take_text(body, "model");
  return name ? model(*name) : *models_.front();
}

WebServer::Routes::Prepared WebServer::Routes::prepare(Json body) {
  Prepared prepared{&take_model(body), {}};
  prepared.columns = static_cast<int>(take_whole(body, "columns", 0, 1000).value_or(0));
  prepared.enlarge = static_cast<int>(take_whole(body, "enlarge", 1, 64).value_or(1));
  prepared.previews = take_flag(body, "previews");
  if (!body.contains("seeds") && !body.contains("count")) body["count"] = 1;
  const Generator& generator = prepared.model->generator;
  prepared.request = request_of_json(body.dump(-1, ' ', false, Json::error_handler_t::replace), generator.info());
  const auto count = static_cast<std::int64_t>(prepared.request.seeds.size());
  if (count > options_.count)
    throw Refusal{422, std::to_string(count) + " samples: a request has at most " + std::to_string(options_.count),
                  "count"};
  if (prepared.previews && count != 1)
    throw Refusal{422, "previews are of one sample, not of " + std::to_string(count)};
  double values = static_cast<double>(count);
  for (const std::int64_t size : generator.plan(prepared.request).shape) values *= static_cast<double>(size);
  if (values > 1 << 28)
    throw Refusal{422, "the samples have more than 2^28 values in all; ask for fewer, or for smaller ones", "pixels"};
  return prepared;
}

WebServer::Routes::Prepared WebServer::Routes::prepare_edit(Json body) {
  const std::string name = take_text(body, "task").value_or("");
  const std::string fit = take_text(body, "fit").value_or("crop");
  const std::map<std::string, Fit> fits{{"crop", Fit::crop}, {"pad", Fit::pad}, {"stretch", Fit::stretch}};
  if (!fits.contains(fit)) throw Refusal{422, "fit = " + shown(fit) + " must be crop, pad or stretch"};
  EditInput input{.fit = PictureInput(fits.at(fit))};
  const auto picture_of = [&](const char* field) -> std::optional<PictureValues> {
    const std::optional<std::string> text = take_text(body, field);
    if (!text) return {};
    return decode_picture(from_base64(*text, field), field);
  };
  const std::optional<PictureValues> picture = picture_of("picture");
  input.mask = picture_of("mask");
  input.factor = static_cast<int>(take_whole(body, "factor", 2, 64).value_or(2));
  const std::optional<double> sigma = take_number(body, "sigma", 0, 1e6);
  const std::optional<std::int64_t> from = take_whole(body, "from_seed", 0, std::int64_t{1} << 62);
  const std::optional<std::int64_t> to = take_whole(body, "to_seed", 0, std::int64_t{1} << 62);
  const auto frames = static_cast<int>(take_whole(body, "frames", 2, 64).value_or(8));
  if (body.contains("sampler"))
    throw Refusal{422, "sampler: an edit has the sampler consistency; give steps or levels"};

  // The request's own fields say what is drawn; the sampler's levels are the edit's.
  Prepared prepared = prepare(std::move(body));
  prepared.is_edit = true;
  Request& request = prepared.request;
  const ModelInfo& info = prepared.model->generator.info();
  if (info.data.modality != Modality::image || info.role != Role::consistency)
    throw Refusal{422, info.name + " can't edit; a consistency model of pictures can"};
  Levels given = parts_of(request.sampler).levels;
  if (name == "interpolate") {
    if (!from || !to) throw Refusal{422, "interpolate needs from_seed and to_seed"};
    request.sampler = ConsistencySampler{.levels = given};
    request.seeds.assign(1, static_cast<std::uint64_t>(*from));
    const int draws = static_cast<int>(prepared.model->generator.plan(request).levels.size());
    request.noise = interpolate_seeds(info, request.seeds.front(), static_cast<std::uint64_t>(*to), frames, draws);
    request.seeds.assign(static_cast<std::size_t>(frames), request.seeds.front());
    return prepared;
  }
  for (const EditTask& task : edit_tasks()) {
    if (name != task.name) continue;
    if (!picture) throw Refusal{422, name + " needs a picture: a PNG or a JPEG in base64"};
    if (name == "denoise" && !sigma)
      throw Refusal{422, "denoise needs sigma, the deviation of the noise in the picture"};
    input.picture = *picture;
    if (sigma) given = {.values = {*sigma}};
    request.sampler = ConsistencySampler{.levels = levels_of_edit(task, given)};
    request.edit = task.prepare(input, info).edit;
    prepared.model->generator.plan(request);
    return prepared;
  }
  std::string names;
  for (const EditTask& task : edit_tasks()) names += std::string(task.name) + ", ";
  throw Refusal{422, "task = " + shown(name) + " is unknown; there are " + names + "interpolate"};
}

Json WebServer::Routes::report_of(const Prepared& prepared, const Job& job) {
  const Report plan = prepared.model->generator.plan(prepared.request);
  return {{"sampler", plan.sampler},
          {"levels", plan.levels},
          {"nfe", plan.nfe},
          {"seconds", job.seconds()},
          {"shape", plan.shape}};
}

std::vector<Sample> WebServer::Routes::samples_of(const Prepared& prepared, const http::Request& request,
                                                  Json* report) {
  const auto job = compute_.draw(prepared.model->generator, prepared.request, false);
  Watch watch(request, options_.seconds);
  std::vector<Sample> samples;
  while (std::optional<Job::Event> event = job->next(patience, [&] { return watch.go_on(); })) {
    if (event->sample) samples.push_back(std::move(*event->sample));
  }
  watch.require_in_time();
  if (!job->finished()) throw Refusal{503, "the server is ending, or the client is gone", "", 5};
  if (report) *report = report_of(prepared, *job);
  return samples;
}

void WebServer::Routes::answer(Prepared prepared, const http::Request& request, http::Response& response) {
  const ModelInfo& info = prepared.model->generator.info();
  const auto count = prepared.request.seeds.size();
  std::vector<std::string> kinds = accepted(request.get_header_value("Accept"));
  const std::string usual = info.data.modality == Modality::audio   ? "audio/wav"
                            : info.data.modality == Modality::video ? "image/webp"
                                                                    : "image/png";
  for (std::string& kind : kinds) {
    if (kind == "*/*" || (kind == "image/*" && usual.starts_with("image/"))) kind = usual;
  }
  if (kinds.empty()) kinds = {usual};
  for (const std::string& kind : kinds) {
    if (kind == "text/event-stream") return stream(std::move(prepared), request, response);
    if (kind == json_type) {
      Json report, list = Json::array();
      for (const Sample& sample : samples_of(prepared, request, &report)) {
        const std::string command =
            prepared.is_edit ? "" : command_of(prepared.request, info, sample.seed, sample.label);
        list.push_back(sample_json(sample, *prepared.model, prepared.request, command, prepared.enlarge));
      }
      return response.set_content(json_text({{"samples", std::move(list)}, {"report", std::move(report)}}), json_type);
    }
    for (const AnswerKind& file : file_answers) {
      if (kind != file.media_type) continue;
      // Whether it can hold them is found before they are drawn.
      const bool picture = file.kind == FileKind::png || file.kind == FileKind::jpeg;
      if ((picture && info.data.modality != Modality::image) ||
          (file.kind == FileKind::wav && info.data.modality != Modality::audio) ||
          (file.kind == FileKind::webp && info.data.modality == Modality::audio) ||
          (info.data.modality != Modality::image && file.kind != FileKind::npz && file.kind != FileKind::npy &&
           count > 1))
        continue;
      const std::vector<Sample> samples = samples_of(prepared, request, nullptr);
      const SaveOptions save{.columns = prepared.columns,
                             .enlarge = prepared.enlarge,
                             .texts = texts_of(samples, *prepared.model, prepared.request)};
      return response.set_content(text_of(encode(file.kind, info, samples, save)), file.media_type);
    }
  }
  throw Refusal{406, "Accept " + shown(request.get_header_value("Accept")) + ": " + std::to_string(count) + " of " +
                         info.name + " can be had as " + usual +
                         ", application/json, text/event-stream, application/x-npz or application/x-npy"};
}

/// Server-sent events, as samples are finished.
void WebServer::Routes::stream(Prepared prepared, const http::Request& request, http::Response& response) {
  const auto shared = std::make_shared<Prepared>(std::move(prepared));
  const auto job = compute_.draw(shared->model->generator, shared->request, shared->previews);
  response.set_header("Cache-Control", "no-store");
  response.set_chunked_content_provider(
      "text/event-stream",
      [this, shared, job, watch = Watch(request, options_.seconds)](std::size_t, http::DataSink& sink) mutable {
        const ModelInfo& info = shared->model->generator.info();
        const auto send = [&](const char* event, const Json& data) {
          const std::string text = std::string("event: ") + event + "\ndata: " + json_text(data) + "\n\n";
          if (!sink.write(text.data(), text.size())) job->stop();
        };
        try {
          while (const std::optional<Job::Event> event = job->next(patience, [&] { return watch.go_on(); })) {
            if (event->sample) {
              const std::string command =
                  shared->is_edit ? "" : command_of(shared->request, info, event->sample->seed, event->sample->label);
              send("sample", sample_json(*event->sample, *shared->model, shared->request, command, shared->enlarge));
            }
            if (event->progress && event->preview.empty()) {
              const Progress& progress = *event->progress;
              send("progress", {{"calls_done", progress.calls_done},
                                {"calls", progress.calls},
                                {"samples_done", progress.samples_done},
                                {"samples", progress.samples}});
            } else if (event->progress) {
              const Sample preview{shared->request.seeds.front(),
                                   {},
                                   event->preview,
                                   shared->model->generator.plan(shared->request).shape};
              Json data = sample_json(preview, *shared->model, shared->request, "", shared->enlarge);
              data["call"] = event->progress->calls_done;
              data["calls"] = event->progress->calls;
              send("preview", data);
            }
          }
          watch.require_in_time();
          if (!job->finished()) throw Refusal{503, "the server is ending"};
          send("done", report_of(*shared, *job));
        } catch (...) {
          send("error", to_json(refusal_of(std::current_exception())));
        }
        sink.done();
        return true;
      },
      [job](bool) { job->stop(); });
}

/// Draws of a plane on the thread of who asked, a few at a time beside the thread that computes samples: the engine's
/// threads are shared among those that call it. Ended where the client is gone or time is up.
Region WebServer::Routes::region_of(const Canvas& plane, const Rectangle& rectangle, const http::Request& request) {
  Watch watch(request, options_.seconds);
  auto looked = std::chrono::steady_clock::now();
  std::stop_source stop;
  const auto look = [&] {
    const auto now = std::chrono::steady_clock::now();
    if (now - looked < patience) return;
    looked = now;
    if (!watch.go_on()) stop.request_stop();
  };
  while (!planes_.try_acquire_for(patience)) {
    look();
    if (stop.stop_requested()) break;
  }
  Region region;
  region.stopped = stop.stop_requested();
  if (!region.stopped) {
    const struct Release {
      std::counting_semaphore<>& semaphore;
      ~Release() { semaphore.release(); }
    } release{planes_};
    region = plane.region(
        rectangle, [&](const Progress&) { look(); }, stop.get_token());
  }
  watch.require_in_time();
  if (region.stopped) throw Refusal{503, "the client is gone"};
  return region;
}

void WebServer::Routes::models(const http::Request&, http::Response& response) {
  Json list = Json::array();
  for (const auto& model : models_) {
    const std::string baseline = model->generator.info().name + "-teacher";
    const bool has_one = std::any_of(models_.begin(), models_.end(),
                                     [&](const auto& other) { return other->generator.info().name == baseline; });
    list.push_back(describe(model->generator, has_one ? baseline : ""));
  }
  response.set_content(json_text({{"version", ONESTEP_VERSION}, {"models", std::move(list)}}), json_type);
}

void WebServer::Routes::generate(const http::Request& request, http::Response& response) {
  answer(prepare(parse_request(request.body)), request, response);
}

void WebServer::Routes::edit(const http::Request& request, http::Response& response) {
  answer(prepare_edit(parse_request(request.body)), request, response);
}

void WebServer::Routes::canvas(const http::Request& request, http::Response& response) {
  Json body = parse_request(request.body);
  const ServedModel& served = take_model(body);
  const ModelInfo& info = served.generator.info();
  const auto pair_of = [&](const char* field,
                           std::int64_t low) -> std::optional<std::pair<std::int64_t, std::int64_t>> {
    if (!body.contains(field)) return {};
    const Json value = body[field];
    body.erase(field);
    const auto fits = [&](const Json& one) {
      return one.is_number_integer() && one.get<double>() >= static_cast<double>(low) && one.get<double>() < 0x1p31;
    };
    if (!value.is_array() || value.size() != 2 || !fits(value[0]) || !fits(value[1]))
      throw Refusal{422, std::string(field) + " must be two whole numbers in [" + std::to_string(low) + ", 2^31)"};
    return std::pair(value[0].get<std::int64_t>(), value[1].get<std::int64_t>());
  };
  const auto size = pair_of("size", 1);
  const auto at =
      pair_of("at", std::numeric_limits<std::int32_t>::min()).value_or(std::pair<std::int64_t, std::int64_t>(0, 0));
  if (!size) throw Refusal{422, "size is missing: [width, height] in pixels"};
  if (size->first * size->second > options_.pixels)
    throw Refusal{422,
                  std::to_string(size->first) + " x " + std::to_string(size->second) +
                      " pixels: a picture has at most " + std::to_string(options_.pixels) +
                      " here; `onestep generate` draws larger ones",
                  "pixels"};
  CanvasOptions canvas_options;
  if (take_flag(body, "seamless")) {
    canvas_options.period_width = size->first;
    canvas_options.period_height = size->second;
  }
  if (body.contains("label")) body["labels"] = Json::array({body["label"]});
  body.erase("label");
  if (body.contains("seed")) body["seeds"] = Json::array({body["seed"]});
  body.erase("seed");
  if (!body.contains("seeds")) body["seeds"] = {0};
  const Request asked = request_of_json(body.dump(-1, ' ', false, Json::error_handler_t::replace), info);
  const Canvas plane(served.generator, asked, canvas_options);
  const std::vector<std::string> kinds = accepted(request.get_header_value("Accept"));
  FileKind kind = FileKind::png;
  const char* type = "image/png";
  for (const AnswerKind& file : file_answers) {
    const bool picture = file.kind == FileKind::jpeg || file.kind == FileKind::webp || file.kind == FileKind::png;
    if (!kinds.empty() && picture && kinds.front() == file.media_type) {
      kind = file.kind;
      type = file.media_type;
    }
  }
  Sample sample{asked.seeds.front(), plane.report().label, {}, {}};
  Region region = region_of(plane, {at.first, at.second, size->first, size->second}, request);
  sample.values = std::move(region.values);
  sample.shape = region.shape;
  SaveOptions save{.texts = texts_of({sample}, served, asked)};
  std::string command = command_of(asked, info, sample.seed, sample.label);
  command = command.substr(0, command.rfind(" -o ")) + " --size " + std::to_string(size->first) + "x" +
            std::to_string(size->second) + " --at " + std::to_string(at.first) + "," + std::to_string(at.second) +
            (canvas_options.period_width ? " --seamless" : "") + " -o " + std::to_string(sample.seed) + ".png";
  save.texts.emplace_back("onestep command", command);
  response.set_header("X-Onestep-Command", command);
  response.set_content(text_of(encode(kind, info, {sample}, save)), type);
}

/// One canvas a plane that is looked at: what was drawn of it is kept for a while.
std::shared_ptr<const Canvas> WebServer::Routes::tile_canvas(const ServedModel& served, std::uint64_t seed,
                                                             const std::string& label, int steps) {
  const std::lock_guard lock(mutex_);
  const std::string key =
      served.generator.info().name + "\n" + std::to_string(seed) + "\n" + label + "\n" + std::to_string(steps);
  const auto found =
      std::find_if(canvases_.begin(), canvases_.end(), [&](const auto& one) { return one.first == key; });
  if (found != canvases_.end()) {
    canvases_.splice(canvases_.begin(), canvases_, found);
    return canvases_.front().second;
  }
  Request request;
  request.seeds = {seed};
  if (label != "-") request.labels = {find_label(label, served.generator.info())};
  request.sampler = make_sampler(parts_of(default_sampler(served.generator.info())).name, {.steps = steps});
  constexpr std::size_t most_canvases = 8, bytes = std::size_t{64} << 20;
  canvases_.emplace_front(key,
                          std::make_shared<Canvas>(served.generator, request, CanvasOptions{.cache_bytes = bytes}));
  if (canvases_.size() > most_canvases) canvases_.pop_back();
  return canvases_.front().second;
}

void WebServer::Routes::tile(const http::Request& request, http::Response& response) {
  constexpr std::int64_t side = 256;
  const auto whole = [&](std::size_t place) {
    const std::string text = request.matches[place];
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
      throw Refusal{422, request.path + ": " + text + " is out of range"};
    return value;
  };
  const ServedModel& served = model(request.matches[1]);
  std::uint64_t seed = 0;
  const std::string seed_text = request.matches[2];
  if (std::from_chars(seed_text.data(), seed_text.data() + seed_text.size(), seed).ec != std::errc{})
    throw Refusal{422, "seed " + seed_text + " must be in [0, 2^64)"};
  const std::string label = request.matches[3];
  const std::int64_t z = whole(4), x = whole(5), y = whole(6);
  if (z > 0 || z < -2) throw Refusal{422, "z = " + std::to_string(z) + " must be in [-2, 0]: 0 is a pixel a pixel"};
  const std::string steps_text = request.has_param("steps") ? request.get_param_value("steps") : "1";
  int steps = 0;
  if (std::from_chars(steps_text.data(), steps_text.data() + steps_text.size(), steps).ec != std::errc{} || steps < 1 ||
      steps > 8)
    throw Refusal{422, "steps = " + shown(steps_text) + " must be in [1, 8]"};
  const std::string tag = "\"" + served.provenance.model_sha256().substr(0, 16) + "-" + ONESTEP_VERSION + "-" +
                          seed_text + "-" + std::to_string(std::hash<std::string>{}(label)) + "-" +
                          std::to_string(steps) + "-" + std::to_string(z) + "." + std::to_string(x) + "." +
                          std::to_string(y) + "\"";
  response.set_header("ETag", tag);
  response.set_header("Cache-Control",
                      std::string(options_.token.empty() ? "public" : "private") + ", max-age=31536000, immutable");
  if (request.get_header_value("If-None-Match") == tag) {
    response.status = 304;
    return;
  }
  const std::int64_t scale = std::int64_t{1} << -z, all = side * scale;
  const std::shared_ptr<const Canvas> plane = tile_canvas(served, seed, label, steps);
  Sample sample{seed, plane->report().label, {}, {}};
  const Region region = region_of(*plane, {x * all, y * all, all, all}, request);
  // The mean of scale x scale pixels.
  const std::int64_t channels = region.shape[0];
  sample.shape = {channels, side, side};
  sample.values.assign(static_cast<std::size_t>(channels * side * side), 0);
  for (std::int64_t row = 0; row < channels * all; ++row) {
    const float* from = region.values.data() + row * all;
    float* to = sample.values.data() + (row / all * side + row % all / scale) * side;
    for (std::int64_t column = 0; column < all; ++column)
      to[column / scale] += from[column] / static_cast<float>(scale * scale);
  }
  response.set_content(text_of(encode(FileKind::png, served.generator.info(), {sample})), "image/png");
}

/// The shape of the OpenAI images API: https://platform.openai.com/docs/api-reference/images/create
void WebServer::Routes::openai_images(const http::Request& request, http::Response& response) {
  Json body = parse_request(request.body);
  const std::string format = take_text(body, "response_format").value_or("b64_json");
  if (format != "b64_json")
    throw Refusal{422, "response_format = " + shown(format) + " must be b64_json: no files are kept here"};
  const std::string prompt = take_text(body, "prompt").value_or("");
  const std::string name = take_text(body, "model").value_or("");
  const std::int64_t count = take_whole(body, "n", 1, 10).value_or(1);
  const std::string size = take_text(body, "size").value_or("auto");
  for (const char* ignored :
       {"quality", "style", "user", "background", "moderation", "output_format", "output_compression"})
    body.erase(ignored);
  if (!body.empty()) throw Refusal{422, shown(body.begin().key()) + " is an unknown field"};
  const bool known =
      std::any_of(models_.begin(), models_.end(), [&](const auto& m) { return m->generator.info().name == name; });
  const ServedModel& served = known || (!name.empty() && !name.starts_with("dall-e") && !name.starts_with("gpt-image"))
                                  ? model(name)
                                  : *models_.front();
  const ModelInfo& info = served.generator.info();
  Prepared prepared{&served, {}};
  static std::atomic<std::uint64_t> next_seed{
      static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count())};
  for (std::int64_t i = 0; i < count; ++i) prepared.request.seeds.push_back(next_seed++);
  if (!prompt.empty()) prepared.request.labels = {find_label(prompt, info)};
  const std::size_t cross = size.find('x');
  std::vector<std::string> pictures;
  if (size == "auto") {
    for (const Sample& sample : samples_of(prepared, request, nullptr))
      pictures.push_back(
          base64(encode(FileKind::png, info, {sample}, {.texts = texts_of({sample}, served, prepared.request)})));
  } else {
    std::int64_t width = 0, height = 0;
    const bool read = cross != std::string::npos &&
                      std::from_chars(size.data(), size.data() + cross, width).ec == std::errc{} &&
                      std::from_chars(size.data() + cross + 1, size.data() + size.size(), height).ec == std::errc{};
    if (!read || width < 1 || height < 1 || width > options_.pixels || height > options_.pixels ||
        width * height > options_.pixels)
      throw Refusal{422,
                    "size = " + shown(size) + " must be WIDTHxHEIGHT of at most " + std::to_string(options_.pixels) +
                        " pixels, or auto",
                    "pixels"};
    for (const std::uint64_t seed : prepared.request.seeds) {
      Request one = prepared.request;
      one.seeds = {seed};
      const Canvas plane(served.generator, one);
      Sample sample{seed, plane.report().label, {}, {}};
      Region region = region_of(plane, {0, 0, width, height}, request);
      sample.values = std::move(region.values);
      sample.shape = region.shape;
      pictures.push_back(base64(encode(FileKind::png, info, {sample}, {.texts = texts_of({sample}, served, one)})));
    }
  }
  Json data = Json::array();
  for (std::string& picture : pictures) data.push_back({{"b64_json", std::move(picture)}});
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  response.set_content(json_text({{"created", std::chrono::duration_cast<std::chrono::seconds>(now).count()},
                                  {"data", std::move(data)}}),
                       json_type);
}

void WebServer::Routes::health(const http::Request&, http::Response& response) {
  response.set_content(R"({"status": "ok"})", json_type);
}

void WebServer::Routes::metrics(const http::Request&, http::Response& response) {
  const ComputeCounts counts = compute_.counts();
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

void WebServer::Routes::page(const http::Request& request, http::Response& response) {
  const std::string name = request.path == "/"                   ? "index.html"
                           : request.path == "/api/openapi.json" ? "openapi.json"
                                                                 : std::string(request.matches[1]);
  for (const EmbeddedFile& file : embedded_files()) {
    if (name != file.name) continue;
    const std::string extension = name.substr(name.rfind('.') + 1);
    const std::map<std::string, const char*> types{{"html", "text/html; charset=utf-8"},
                                                   {"css", "text/css; charset=utf-8"},
                                                   {"js", "text/javascript; charset=utf-8"},
                                                   {"svg", "image/svg+xml"},
                                                   {"json", json_type}};
    const auto type = types.find(extension);
    response.set_header("Cache-Control", "no-cache");
    response.set_content(std::string(file.content), type == types.end() ? "application/octet-stream" : type->second);
    return;
  }
  throw Refusal{404, request.path + " is not here"};
}

WebServer::WebServer(std::vector<std::unique_ptr<ServedModel>> models, const ServerOptions& options)
    : routes_(std::make_unique<Routes>(std::move(models), options)) {}
WebServer::~WebServer() = default;

int WebServer::port() const { return routes_->port; }
void WebServer::listen() { routes_->listener.listen_after_bind(); }
void WebServer::stop() { routes_->listener.stop(); }

}  // namespace onestep
