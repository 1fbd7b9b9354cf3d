#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "bulk.hpp"
#include "commands.hpp"
#include "onestep/error.hpp"
#include "provenance.hpp"
#include "ranks.hpp"
#include "terminal.hpp"

namespace {

constexpr int own_fault = 1, out_of_memory = 6, stopped_by_user = 130;

int exit_code(onestep::ErrorKind kind) {
  switch (kind) {
    case onestep::ErrorKind::usage:
      return 2;
    case onestep::ErrorKind::model:
      return 3;
    case onestep::ErrorKind::file:
      return 4;
    case onestep::ErrorKind::numerical:
      return 5;
    case onestep::ErrorKind::memory:
      return out_of_memory;
  }
  return 2;
}

/// One value after each option, unless it is given again: CLI11 would go on to the model that stands behind.
void take_single_values(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) option->allow_extra_args(false);
  }
  for (CLI::App* command : app.get_subcommands(nullptr)) take_single_values(*command);
}

/// Last one first, as CLI11 takes them. A --grid without columns is followed by none: by a model, it may be.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const bool has_columns = i + 1 < arguments.size() && !arguments[i + 1].empty() &&
                             arguments[i + 1].find_first_not_of("-0123456789") == std::string::npos;
    if (arguments[i] == "--grid" && !has_columns) arguments[i] = "--grid=0";
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

int run(int argc, char** argv) {
  onestep::remember_command(argc, argv);
  CLI::App app{
      "Draws samples with consistency models, in one network call or a few, and with the diffusion models they "
      "compete with.",
      "onestep"};
  app.set_version_flag("--version", "onestep " ONESTEP_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Examples:\n  onestep generate fashion --grid -o sheet.png\n  onestep compare fashion -o compare.png\n"
      "onestep COMMAND --help says what a command takes.\n\nCtrl-C, SIGTERM and SIGHUP stop a command between two "
      "network calls; what is finished is kept.\nExit codes: 0 done; 1 a fault of onestep's own; 2 the command is "
      "wrong; 3 the model; 4 another file; 5 NaN or infinity; 6 out of memory; 7 a rank "
      "of mpirun's did not do its part; 130 stopped.");
  onestep::add_generate(app);
  onestep::add_compare(app);
  onestep::add_compose(app);
  onestep::add_inspect(app);
  onestep::add_bench(app);
  onestep::add_edit(app);
  onestep::add_tune(app);
  onestep::add_evaluate(app);
#ifdef ONESTEP_SERVER
  onestep::add_serve(app);
#endif
  onestep::add_completions(app);
  // CLI11 would say that a command is missing, not that this one is unknown.
  std::string commands;
  bool known = argc < 2 || argv[1][0] == '-';
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    known |= argc > 1 && command->get_name() == argv[1];
    if (!command->get_group().empty()) commands += (commands.empty() ? "" : ", ") + command->get_name();
  }
  if (!known) {
    onestep::complain("unknown command " + std::string(argv[1]) + "; there are " + commands);
    return 2;
  }
  try {
    take_single_values(app);
    app.parse(arguments_of(argc, argv));
    std::cout.flush();
    if (!std::cout) throw onestep::Error(onestep::ErrorKind::file, "standard output can't be written");
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    onestep::complain(std::string(error.what()) + "; see onestep --help");
    return 2;
  } catch (const onestep::StoppedByUser& stopped) {
    onestep::complain("stopped; " + stopped.message);
    return stopped_by_user;
  } catch (const onestep::EndedInWorkers& ended) {
    return ended.code;
  } catch (const onestep::RanksFailed& failed) {
    onestep::complain(failed.message);
    return onestep::rank_failed;
  } catch (const onestep::Error& error) {
    // What is wrong with the command, rank 0 alone says.
    if (error.kind() != onestep::ErrorKind::usage || onestep::is_first_worker()) onestep::complain(error.what());
    return exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    onestep::complain("out of memory; ask for fewer samples at once, or give a folder with -o");
    return out_of_memory;
  } catch (const std::exception& error) {
    onestep::complain(std::string("a fault of onestep's own, please report it: ") + error.what());
    return own_fault;
  } catch (...) {
    onestep::complain("a fault of onestep's own, please report it: an exception of an unknown kind");
    return own_fault;
  }
}

}  // namespace

int main(int argc, char** argv) {
  // A write beyond the limit on file sizes then fails as on a full disk, with a message.
  std::signal(SIGXFSZ, SIG_IGN);
  std::set_terminate([] {
    std::fputs("onestep: a fault of onestep's own, please report it: an exception that nobody could catch\n", stderr);
    std::_Exit(own_fault);
  });
  const int code = run(argc, argv);
  if (code == 0) onestep::end_ranks();
  std::cout.flush();
  std::fflush(nullptr);
  // Nothing is left to be written, and libtorch takes a good while to take its registries apart.
  std::_Exit(code);
}
