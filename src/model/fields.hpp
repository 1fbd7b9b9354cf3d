#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace onestep {

using Names = std::vector<std::string>;

/// One object of a model's onestep.json. What it reads, it checks; Error (model) names the file, the field's place, its
/// value and the rule. Refers to the object and to the file's name, which outlive it.
class Fields {
 public:
  using Json = nlohmann::json;

  /// path: the object's place, empty for the whole. Throws on a field that is not among `known`.
  Fields(const Json& object, std::string path, const std::string& file, const Names& known);

  /// Whether it is there, and not null.
  bool has(const std::string& name) const;

  const Json& at(const std::string& name) const;
  std::string text(const std::string& name) const;
  std::string one_of(const std::string& name, const Names& allowed) const;
  bool truth(const std::string& name) const;

  /// Finite and in [low, high]. rule: what it must be, in words.
  double number(const std::string& name, double low, double high, const std::string& rule) const;
  double positive(const std::string& name) const;

  /// In [low, high].
  std::int64_t whole(const std::string& name, std::int64_t low, std::int64_t high) const;

  Fields object(const std::string& name, const Names& known) const;

  /// An array of objects, whose fields are looked at later.
  std::vector<Fields> objects(const std::string& name, std::size_t most) const;

  /// The same object, where no other fields than these are known.
  Fields only(const Names& known) const { return Fields(object_, path_, file_, known); }

  /// An object whose `kind` is a row of `table`, which says what other fields it may have.
  template <typename Row>
  std::pair<Fields, const Row*> kind(const std::string& name, const std::vector<Row>& table,
                                     std::int64_t format) const {
    Names names;
    for (const Row& row : table) names.push_back(row.name);
    const std::string chosen = object(name, names_in(at(name))).one_of("kind", names);
    const Row& row = *std::find_if(table.begin(), table.end(), [&](const Row& r) { return r.name == chosen; });
    Names known{"kind"};
    known.insert(known.end(), row.fields.begin(), row.fields.end());
    if (format > 1) known.insert(known.end(), row.fields2.begin(), row.fields2.end());
    return {object(name, known), &row};
  }

  /// Throws: the field's value is not what the rule says. No name: the whole object.
  [[noreturn]] void fail(const std::string& name, const std::string& rule) const;

  /// Of an object's fields; none of anything else.
  static Names names_in(const Json& object);

 private:
  std::string place(const std::string& name) const;

  const Json& object_;
  std::string path_;
  const std::string& file_;
};

}  // namespace onestep
