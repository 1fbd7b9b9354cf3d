#include "fields.hpp"

#include <cmath>

#include "onestep/error.hpp"

namespace onestep {
namespace {

std::string joined(const Names& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Fields::Fields(const Json& object, std::string path, const std::string& file, const Names& known)
    : object_(object), path_(std::move(path)), file_(file) {
  if (!object.is_object()) fail("", "must be an object");
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      fail(name, "is an unknown field; known are " + joined(known));
    }
  }
}

bool Fields::has(const std::string& name) const { return object_.contains(name) && !object_.at(name).is_null(); }

const Fields::Json& Fields::at(const std::string& name) const {
  if (!object_.contains(name)) throw Error(ErrorKind::model, file_ + ": onestep.json: " + place(name) + " is missing");
  return object_.at(name);
}

std::string Fields::text(const std::string& name) const {
  if (!at(name).is_string()) fail(name, "must be a string");
  return at(name).get<std::string>();
}

std::string Fields::one_of(const std::string& name, const Names& allowed) const {
  const std::string value = text(name);
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    fail(name, "must be one of " + joined(allowed));
  }
  return value;
}

bool Fields::truth(const std::string& name) const {
  if (!at(name).is_boolean()) fail(name, "must be true or false");
  return at(name).get<bool>();
}

double Fields::number(const std::string& name, double low, double high, const std::string& rule) const {
  const Json& value = at(name);
  // JSON can spell 1e999, which reads as infinity.
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < low ||
      value.get<double>() > high) {
    fail(name, "must be " + rule);
  }
  return value.get<double>();
}

double Fields::positive(const std::string& name) const { return number(name, 1e-30, 1e30, "a number above 0"); }

std::int64_t Fields::whole(const std::string& name, std::int64_t low, std::int64_t high) const {
  const Json& value = at(name);
  if (!value.is_number_integer() || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
    fail(name, "must be a whole number in [" + std::to_string(low) + ", " + std::to_string(high) + "]");
  }
  return value.get<std::int64_t>();
}

Fields Fields::object(const std::string& name, const Names& known) const {
  return Fields(at(name), place(name), file_, known);
}

std::vector<Fields> Fields::objects(const std::string& name, std::size_t most) const {
  const Json& array = at(name);
  if (!array.is_array() || array.size() > most)
    fail(name, "must be an array of at most " + std::to_string(most) + " objects");
  std::vector<Fields> all;
  for (std::size_t i = 0; i < array.size(); ++i)
    all.emplace_back(array[i], place(name) + "[" + std::to_string(i) + "]", file_, names_in(array[i]));
  return all;
}

void Fields::fail(const std::string& name, const std::string& rule) const {
  const Json& value = name.empty() ? object_ : object_.at(name);
  std::string shown = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
  throw Error(ErrorKind::model, file_ + ": onestep.json: " + place(name) + " = " + shown + " " + rule);
}

Names Fields::names_in(const Json& object) {
  Names names;
  if (object.is_object()) {
    for (const auto& [name, value] : object.items()) names.push_back(name);
  }
  return names;
}

std::string Fields::place(const std::string& name) const {
  if (name.empty()) return path_.empty() ? "the whole" : path_;
  return path_.empty() ? name : path_ + "." + name;
}

}  // namespace onestep
