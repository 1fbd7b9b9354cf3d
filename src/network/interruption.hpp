#pragma once

namespace onestep {

/// What is thrown on the caller's behalf, on its way to him: no failure of what it passes.
struct Interruption {};

}  // namespace onestep
