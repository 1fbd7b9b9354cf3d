#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace onestep {

/// Somebody else's numbers, in C order; floats in as many pieces as they lie in.
struct ArrayView {
  std::variant<std::vector<std::span<const float>>, std::span<const std::int64_t>, std::span<const std::uint64_t>,
               std::span<const double>>
      values;
  std::vector<std::int64_t> shape;
};

// Each throws Error (usage) where a shape does not fit its values.

/// NumPy's .npy, format 1.0.
std::vector<std::byte> encode_npy(const ArrayView& array);

/// NumPy's .npz: arrays by name, of one size or more, stored uncompressed as numpy.savez does, since samples hardly
/// shrink. The same arrays make the same bytes.
std::vector<std::byte> encode_npz(const std::vector<std::pair<std::string, ArrayView>>& arrays);

/// What numbers of a file can be read; more than a byte: little-endian.
enum class ArrayType { float32, float64, uint8, int64, int32 };

/// The names of a .npz's arrays. Throws Error (file).
std::vector<std::string> arrays_of(const std::string& file);
/// The comment of a .npz; empty where it has none. Throws Error (file).
std::string comment_of(const std::string& file);

/// An array in C order, of which the header alone is read at first: its shape is known, and can be refused, before the
/// numbers take time and memory. The constructors and read throw Error (file).
class ArrayFile {
 public:
  /// A .npy, formats 1 to 3, of one of these types.
  explicit ArrayFile(const std::string& file, const std::vector<ArrayType>& types = {ArrayType::float32});
  /// The array `name` of a .npz, stored or compressed.
  ArrayFile(const std::string& file, const std::string& name,
            const std::vector<ArrayType>& types = {ArrayType::float32});

  ArrayType type() const { return type_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }

  /// The next numbers, of the array's type; all of them are to be asked for, and no more.
  template <typename T>
  void read(std::span<T> values) {
    read_bytes(std::as_writable_bytes(values));
  }

 private:
  void read_bytes(std::span<std::byte> bytes);
  /// Up to so many of the next bytes; fewer at the end alone, or where the file is damaged.
  using Source = std::function<std::size_t(char*, std::size_t)>;

  void read_header(std::uint64_t size, const std::vector<ArrayType>& types);

  std::string name_;  ///< For messages.
  Source source_;
  ArrayType type_ = ArrayType::float32;
  std::vector<std::int64_t> shape_;
  std::uint64_t left_ = 0;  ///< Bytes of numbers that were not read yet.
};

struct FloatArray {
  std::vector<float> values;  ///< In C order.
  std::vector<std::int64_t> shape;
};

/// All of a .npy; nothing is allocated that the file does not fill. Throws Error (file).
FloatArray read_npy(const std::string& file);

/// Throws Error (file) where a sample of `sample_size` values has NaN or infinity among them: "FILE: sample 5 holds
/// NaN". The first is number `first`.
void require_finite(std::span<const float> values, std::size_t sample_size, const std::string& file,
                    std::size_t first = 0);

}  // namespace onestep
