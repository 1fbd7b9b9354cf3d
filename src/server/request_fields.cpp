#include "request_fields.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>

#include "refusal.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

std::int64_t whole(const std::string& field, const Json& value, std::int64_t low, std::int64_t high) {
  const bool small = !value.is_number_unsigned() || value.get<std::uint64_t>() <= std::uint64_t{1} << 62;
  if (!value.is_number_integer() || !small || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high)
    refuse_field(field, value, "a whole number in [" + std::to_string(low) + ", " + std::to_string(high) + "]");
  return value.get<std::int64_t>();
}

/// The kinds of answer that an Accept header asks for, the one liked best first.
std::vector<std::string> accepted(const std::string& header) {
  std::vector<std::pair<double, std::string>> kinds;
  std::istringstream parts(header);
  for (std::string part; std::getline(parts, part, ',');) {
    std::istringstream fields(part);
    std::string kind;
    std::getline(fields, kind, ';');
    kind.erase(std::remove_if(kind.begin(), kind.end(), [](unsigned char c) { return std::isspace(c); }), kind.end());
    std::transform(kind.begin(), kind.end(), kind.begin(), [](unsigned char c) { return std::tolower(c); });
    double quality = 1;
    for (std::string field; std::getline(fields, field, ';');) {
      const std::size_t q = field.find("q=");
      if (q != std::string::npos) quality = std::strtod(field.c_str() + q + 2, nullptr);
    }
    if (!kind.empty() && quality > 0) kinds.emplace_back(-quality, kind);
  }
  std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (const auto& [quality, kind] : kinds) names.push_back(kind);
  return names;
}

}  // namespace

std::string number_text(double value) {
  std::ostringstream text;
  text.precision(17);
  text << value;
  std::ostringstream shorter;
  shorter << value;
  return std::strtod(shorter.str().c_str(), nullptr) == value ? shorter.str() : text.str();
}

std::string base64(const std::vector<std::byte>& bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // EVP_EncodeBlock ends it with a 0
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::vector<std::byte> from_base64(const std::string& text, const std::string& field) {
  const auto fail = [&] { refuse_field(field, text, "base64, without line breaks"); };
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  const auto digit = [](unsigned char c) { return std::isalnum(c) || c == '+' || c == '/'; };
  if (text.empty() || text.size() % 4 != 0 ||
      !std::all_of(text.begin(), text.end() - static_cast<std::ptrdiff_t>(padding), digit))
    fail();
  std::vector<std::byte> bytes(text.size() / 4 * 3);
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) fail();
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

void refuse_field(const std::string& field, const Json& value, const std::string& rule) {
  std::string text = json_text(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  throw Refusal{422, field + " = " + text + " must be " + rule};
}

std::optional<Json> take(Json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end()) return {};
  Json value = *found;
  object.erase(found);
  return value;
}

std::optional<std::string> take_text(Json& object, const char* field) {
  const std::optional<Json> value = take(object, field);
  if (!value) return {};
  if (!value->is_string()) refuse_field(field, *value, "a string");
  return value->get<std::string>();
}

std::optional<std::int64_t> take_whole(Json& object, const char* field, std::int64_t low, std::int64_t high) {
  const std::optional<Json> value = take(object, field);
  if (!value) return {};
  return whole(field, *value, low, high);
}

std::optional<std::vector<std::int64_t>> take_wholes(Json& object, const char* field, std::size_t count,
                                                     std::int64_t low, std::int64_t high) {
  const std::optional<Json> value = take(object, field);
  if (!value) return {};
  if (!value->is_array() || value->size() != count)
    refuse_field(field, *value, "an array of " + std::to_string(count) + " whole numbers");
  std::vector<std::int64_t> numbers;
  for (std::size_t i = 0; i < count; ++i)
    numbers.push_back(whole(std::string(field) + "[" + std::to_string(i) + "]", (*value)[i], low, high));
  return numbers;
}

std::optional<double> take_number(Json& object, const char* field, double low, double high) {
  const std::optional<Json> value = take(object, field);
  if (!value) return {};
  if (!value->is_number() || !(value->get<double>() >= low && value->get<double>() <= high))
    refuse_field(field, *value, "a number in [" + number_text(low) + ", " + number_text(high) + "]");
  return value->get<double>();
}

bool take_flag(Json& object, const char* field) {
  const std::optional<Json> value = take(object, field);
  if (!value) return false;
  if (!value->is_boolean()) refuse_field(field, *value, "true or false");
  return value->get<bool>();
}

std::string liked_best(const std::string& accept, const std::vector<std::string>& offered, const std::string& what) {
  std::vector<std::string> liked = accepted(accept);
  if (liked.empty()) liked = {"*/*"};
  for (const std::string& kind : liked) {
    const bool any = kind == "*/*", group = kind.ends_with("/*");
    for (const std::string& each : offered) {
      if (any || each == kind || (group && each.starts_with(kind.substr(0, kind.size() - 1)))) return each;
    }
  }
  std::string all;
  for (const std::string& each : offered) all += (all.empty() ? "" : &each == &offered.back() ? " or " : ", ") + each;
  throw Refusal{406, "Accept " + shown(accept) + ": " + what + " can be had as " + all};
}

}  // namespace onestep
