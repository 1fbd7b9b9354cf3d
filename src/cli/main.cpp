#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "commands.hpp"
#include "onestep/error.hpp"
#include "provenance.hpp"
#include "terminal.hpp"

namespace {

constexpr int out_of_memory = 6, stopped_by_user = 130;

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
      "onestep COMMAND --help says what a command takes.\n\nExit codes: 0 done; 2 the command is wrong; 3 the "
      "model; 4 another file; 5 NaN or infinity; 6 out of memory; 130 stopped.");
  onestep::add_generate(app);
  onestep::add_compare(app);
  onestep::add_inspect(app);
  onestep::add_bench(app);
  onestep::add_edit(app);
  onestep::add_tune(app);
  // CLI11 would say that a command is missing, not that this one is unknown.
  std::string commands;
  bool known = argc < 2 || argv[1][0] == '-';
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    known |= argc > 1 && command->get_name() == argv[1];
    commands += (commands.empty() ? "" : ", ") + command->get_name();
  }
  if (!known) {
    std::cerr << "onestep: " << argv[1] << " is no command; there are " << commands << '\n';
    return 2;
  }
  try {
    app.parse(argc, argv);
    std::cout.flush();
    if (!std::cout) throw onestep::Error(onestep::ErrorKind::file, "standard output can't be written");
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    std::cerr << "onestep: " << error.what() << "; see onestep --help\n";
    return 2;
  } catch (const onestep::StoppedByUser& stopped) {
    std::cerr << "onestep: stopped; " << stopped.message << '\n';
    return stopped_by_user;
  } catch (const onestep::Error& error) {
    std::cerr << "onestep: " << error.what() << '\n';
    return exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    std::cerr << "onestep: out of memory; ask for fewer samples at once, or give a folder with -o\n";
    return out_of_memory;
  } catch (const std::exception& error) {
    std::cerr << "onestep: " << error.what() << '\n';
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int code = run(argc, argv);
  std::cout.flush();
  std::fflush(nullptr);
  // Nothing is left to be written, and libtorch takes a good while to take its registries apart.
  std::_Exit(code);
}
