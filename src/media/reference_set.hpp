#pragma once

#include <string>
#include <vector>

#include "sample_file.hpp"

namespace onestep {

/// A set of real samples of this format, [M, ...] in C order: a folder of PNG, JPEG or BMP pictures, and those in its
/// folders; a .npy; the array `samples` of a .npz; or an IDX file of bytes, also gzipped (LeCun's MNIST format). Bytes
/// 0 and 255 become the ends of the range. At most `most` of them, evenly over the set. Throws Error (file) where one
/// can't be read or has another shape.
std::vector<float> read_reference_set(const std::string& path, const SampleFormat& format, std::size_t most);

}  // namespace onestep
