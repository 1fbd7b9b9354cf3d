#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sample_file.hpp"

namespace onestep {

/// A set of samples in files, of which one at a time is held: a folder of PNG, JPEG or BMP pictures, and those in its
/// folders, but for hidden ones; a .npy; a .npz with an array `samples`, or with pictures as bytes [M, H, W, C] in
/// `arr_0`; or an IDX file of bytes, also gzipped (LeCun's MNIST format). White and 255 become the upper end of the
/// range, black and 0 the lower.
///
/// Labels are those of a folder's manifest.jsonl, as `onestep generate` writes it, else the folders that all of its
/// pictures lie in, in the order of their names; the array `labels` or
/// `arr_1` of a .npz; and beside an IDX file NAME-images-idx3... one NAME-labels-idx1...
///
/// The constructor and read throw Error (file), which names the file and the sample: where one can't be read, has
/// another shape or holds NaN or infinity, where a folder holds pictures of other kinds, and where an array is not of
/// the range.
class ReferenceSet {
 public:
  /// wanted: what the samples must be. None: what the first of them is, in [-1, 1].
  explicit ReferenceSet(const std::string& path, const std::optional<SampleFormat>& wanted = {});
  ReferenceSet(ReferenceSet&&) noexcept;
  ReferenceSet& operator=(ReferenceSet&&) noexcept;
  ~ReferenceSet();

  const SampleFormat& format() const;
  /// As the file has it; it may turn out cut short when it is read.
  std::size_t count() const;
  bool has_labels() const;
  /// Of the labels 0, 1, ... of a folder; else empty.
  const std::vector<std::string>& label_names() const;

  struct Entry {
    std::span<const float> values;  ///< Until use returns.
    std::optional<std::int64_t> label;
  };
  using Use = std::function<void(const Entry&)>;

  /// At most `most` of them, evenly over the set, in its order.
  void read(std::size_t most, const Use& use) const;
  /// Of those, the ones of these numbers, which rise: 0 is the first that read would give.
  void read_these(std::size_t most, std::span<const std::size_t> numbers, const Use& use) const;

 private:
  struct Source;
  struct Folder;
  struct Array;
  struct Idx;
  std::size_t place_of(std::size_t k, std::size_t most) const;
  std::unique_ptr<Source> source_;
};

/// Samples of this format, [M, ...] in C order, at most `most` of them: ReferenceSet::read, in memory.
std::vector<float> read_reference_set(const std::string& path, const SampleFormat& format, std::size_t most);

}  // namespace onestep
