#include <csignal>
#include <iostream>
#include <thread>

#include "arguments.hpp"
#include "commands.hpp"
#include "server.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

struct Arguments {
  std::vector<std::string> models;
  ServerOptions server;
  std::int64_t delay_in_microseconds = 2000;
  MachineArguments machine;
  bool quiet = false;
};

std::string address_of(const ServerOptions& options, int port) {
  const bool six = options.host.find(':') != std::string::npos;
  return "http://" + (six ? "[" + options.host + "]" : options.host) + ":" + std::to_string(port);
}

/// Its teacher beside a shipped model, so that the page can show a race.
std::vector<std::string> choose_models(const std::vector<std::string>& given) {
  if (!given.empty()) return given;
  std::vector<std::string> models;
  for (const auto& [name, file] : shipped_models()) models.push_back(name);
  if (models.empty()) throw Error(ErrorKind::usage, "no model is given, and none is shipped beside this program");
  return models;
}

void run(const Arguments& arguments) {
  // Taken by a thread that waits for them: nothing has to be done within a handler. Before others begin, which would be
  // given them.
  sigset_t ends;
  sigemptyset(&ends);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, signal);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  std::vector<std::unique_ptr<ServedModel>> models;
  for (const std::string& name : choose_models(arguments.models)) {
    const ModelHash hash(name);
    Generator generator = arguments.machine.load(name, arguments.quiet);
    Provenance provenance(hash);
    models.push_back(std::unique_ptr<ServedModel>(new ServedModel{std::move(generator), std::move(provenance)}));
  }
  ServerOptions options = arguments.server;
  options.compute.delay = std::chrono::microseconds(arguments.delay_in_microseconds);

  WebServer server(std::move(models), options);
  print_line("onestep serves at " + address_of(options, server.port()) +
             (options.token.empty() ? "" : "/#token=" + options.token));
  std::cout.flush();
  std::jthread waits([&](const std::stop_token& stop) {
    const timespec a_while{0, 200'000'000};
    while (!stop.stop_requested()) {
      if (sigtimedwait(&ends, nullptr, &a_while) > 0) break;
    }
    server.stop();
  });
  server.listen();
}

}  // namespace

void add_serve(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("serve", "Show a page in the browser, and answer programs over HTTP");
  ServerOptions& server = arguments->server;
  // Said in the descriptions.
  const auto within = [](int low, int high) { return CLI::Range(low, high).description(""); };
  command
      ->add_option("models", arguments->models, "model files, or names of shipped models (default: all shipped ones)")
      ->type_name("MODEL ...");
  command->add_option("--port", server.port, "0 to 65535; 0: one that is free (default: 8080)")
      ->check(within(0, 65535));
  command->add_option("--host", server.host, "the address to listen at (default: 127.0.0.1, this machine alone)");
  command->add_option("--token", server.token,
                      "a secret of 16 characters or more that callers must give; needed with another --host");
  command->add_option("--batch", server.compute.batch, "samples a network call, 1 to 4096 (default: 64)")
      ->check(within(1, 4096))
      ->group("Bounds");
  command
      ->add_option("--batch-delay", arguments->delay_in_microseconds,
                   "microseconds that a sample waits for others, 0 to 1000000 (default: 2000)")
      ->check(within(0, 1'000'000))
      ->group("Bounds");
  command->add_option("--max-queue", server.compute.queue, "samples that may wait (default: 20000)")
      ->check(within(1, 10'000'000))
      ->group("Bounds");
  command->add_option("--max-body", server.body, "bytes of a request (default: 33554432)")
      ->check(within(1024, 1 << 30))
      ->group("Bounds");
  command->add_option("--max-count", server.count, "samples of a request (default: 1000)")
      ->check(within(1, 1'000'000))
      ->group("Bounds");
  command->add_option("--max-pixels", server.pixels, "pixels of a part of a plane (default: 16777216)")
      ->check(within(1, 1 << 28))
      ->group("Bounds");
  command->add_option("--max-seconds", server.seconds, "that a request may take (default: 300)")
      ->check(within(1, 86400))
      ->group("Bounds");
  command->add_option("--max-clients", server.clients, "connections at once (default: 256)")
      ->check(within(2, 4096))
      ->group("Bounds");
  command->add_flag("--quiet", arguments->quiet, "nothing of what networks say");
  arguments->machine.add_to(*command);
  command->footer("Examples:\n  onestep serve\n  onestep serve fashion fashion-teacher --port 9000");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
