#pragma once

#include <string>

#include "bulk.hpp"

namespace onestep {

/// Draws a request into one .npz: `samples`, `seeds` and, of a conditional model, `labels`; or in the layout of ADM's
/// tools (Dhariwal & Nichol 2021), pictures as bytes [N, H, W, C] in `arr_0` and labels in `arr_1`. Until all is there,
/// batches lie in the folder FILE.unfinished, by which a run can be gone on with. Throws Error.
BulkReport draw_into_npz(const BulkTask& task, const std::string& file, bool as_bytes);

}  // namespace onestep
