#pragma once

#include <CLI/CLI.hpp>

namespace onestep {

// Each adds its command, whose callback throws Error or StoppedByUser; main turns these into exit codes.
void add_generate(CLI::App& app);
void add_compare(CLI::App& app);
void add_compose(CLI::App& app);
void add_edit(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_interpolate(CLI::App& edit);
void add_inspect(CLI::App& app);
void add_tune(CLI::App& app);
void add_bench(CLI::App& app);
void add_serve(CLI::App& app);  // of src/server
void add_completions(CLI::App& app);

}  // namespace onestep
