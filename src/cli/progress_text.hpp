#pragma once

#include <string>

#include "onestep/generator.hpp"

namespace onestep {

/// A bar, how many samples and calls are done, the rate and the time left: of a run that began so many seconds ago.
/// progress.calls: 1 or more.
std::string bar_text(const Progress& progress, double seconds);

/// What complaints begin with in place of the program's name.
void speak_as(const std::string& name);

}  // namespace onestep
