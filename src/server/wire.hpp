#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "onestep/save.hpp"
#include "refusal.hpp"
#include "served_models.hpp"

namespace onestep {

// What goes over the wire: requests and samples as JSON and as files.

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

/// The kinds of answer that an Accept header asks for, the one liked best first. Empty: anything.
std::vector<std::string> accepted(const std::string& header);

/// The command that draws a sample again.
std::string command_of(const Request& request, const ModelInfo& info, std::uint64_t seed,
                       std::optional<std::int64_t> label);

/// A sample as JSON, the file of it in base64 under the name of its kind. `command`: as command_of; empty: of an edit.
Json sample_json(const Sample& sample, const ServedModel& model, const Request& request, const std::string& command,
                 int enlarge);

/// What pictures carry of a request's samples; `more`: facts further to those of every request.
std::vector<std::pair<std::string, std::string>> texts_of(const std::vector<Sample>& samples, const ServedModel& model,
                                                          const Request& request, const Json& more = Json::object());

/// A kind of file by its media type.
struct AnswerKind {
  const char* media_type;
  FileKind kind;
};
const std::vector<AnswerKind>& answer_kinds();

/// A file as the body of an answer.
std::string text_of(const std::vector<std::byte>& bytes);

}  // namespace onestep
