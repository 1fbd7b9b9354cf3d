#pragma once

#include <string>
#include <vector>

#include "sample_file.hpp"

namespace onestep {

/// A set of real samples of this format, [M, ...] in C order: a folder of PNG, JPEG or BMP pictures, and those in its
/// folders, but for hidden ones; a .npy; the array `samples` of a .npz; or an IDX file of bytes, also gzipped (LeCun's
/// MNIST format). White and 255 become the upper end of the range, black and 0 the lower. At most `most` of them,
/// evenly over the set. Throws Error (file), which names the file and the sample: where one can't be read, has another
/// shape or holds NaN or infinity, where a folder holds pictures of other kinds, and where an array is not of the
/// range.
std::vector<float> read_reference_set(const std::string& path, const SampleFormat& format, std::size_t most);

}  // namespace onestep
