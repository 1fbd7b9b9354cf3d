#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace onestep {

// What a client says: fields of a request's JSON, and the kinds of answer that he likes.

using Json = nlohmann::ordered_json;

std::string base64(const std::vector<std::byte>& bytes);
/// Throws Refusal (422), which names the field.
std::vector<std::byte> from_base64(const std::string& text, const std::string& field);

/// Throws Refusal (422): "FIELD = VALUE must be RULE".
[[noreturn]] void refuse_field(const std::string& field, const Json& value, const std::string& rule);

/// A field of an object taken out of it; none where it is not there. Throw Refusal (422) on another type or a value out
/// of range.
std::optional<Json> take(Json& object, const char* field);
std::optional<std::string> take_text(Json& object, const char* field);
std::optional<std::int64_t> take_whole(Json& object, const char* field, std::int64_t low, std::int64_t high);
std::optional<double> take_number(Json& object, const char* field, double low, double high);
bool take_flag(Json& object, const char* field);
/// An array of `count` whole numbers.
std::optional<std::vector<std::int64_t>> take_wholes(Json& object, const char* field, std::size_t count,
                                                     std::int64_t low, std::int64_t high);

/// Of the media types that are offered, the one that an Accept header likes best; of several that it likes alike, the
/// first. Throws Refusal (406), which calls what is asked for `what`.
std::string liked_best(const std::string& accept, const std::vector<std::string>& offered, const std::string& what);

/// As short as it can be read again.
std::string number_text(double value);

}  // namespace onestep
