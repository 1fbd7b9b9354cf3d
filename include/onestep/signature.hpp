#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace onestep {
/// Of a tensor's values.
enum class ElementType { float32, int64, boolean };

/// One size of a tensor: a number; or free, a name, which is the same size wherever it stands in a call; or a number of
/// times a free one.
struct Size {
  std::int64_t number = 1;  ///< >= 1.
  std::string name = {};    ///< Of a free size, such as N (samples), H, W, T, L. Empty: the number alone.

  bool operator==(const Size&) const = default;  ///< The same number and name.
};

/// An input or an output of a network.
struct Port {
  std::string name;                         ///< For messages.
  ElementType type = ElementType::float32;  ///< Of its values.
  std::vector<Size> shape;                  ///< The first size is N, that of the samples.
  std::vector<Size> map = {};  ///< A shape that will do as well: a value for each place of x. Empty: there is none.
};

/// What a network takes and gives.
struct Signature {
  std::vector<Port> inputs;  ///< The first is x, on which its work is done; the others are conditions.
  Port output;               ///< What it gives.
  std::map<std::string, std::int64_t> multiples;  ///< What a free size must be a multiple of, where that is not 1.
};

/// Such as "28", "H", "8H".
std::string to_text(const Size& size);
/// Such as "[N, 3, 8H, 8W]".
std::string to_text(const std::vector<Size>& shape);

/// The same signature for one shape of x, [N, sizes...]: all free sizes but N are numbers.
Signature fixed_at(Signature signature, const std::vector<std::int64_t>& sizes);

}  // namespace onestep
