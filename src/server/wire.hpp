#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "onestep/save.hpp"
#include "onestep/score.hpp"
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

/// Of the media types that are offered, the one that an Accept header likes best; of several that it likes alike, the
/// first. Throws Refusal (406), which calls what is asked for `what`.
std::string liked_best(const std::string& accept, const std::vector<std::string>& offered, const std::string& what);

/// As short as it can be read again.
std::string number_text(double value);

/// Sampler, guidance and force of a request, as the command line takes them.
std::string sampler_flags(const Request& request, const ModelInfo& info);

/// The command that draws a sample again.
std::string command_of(const Request& request, const ModelInfo& info, std::uint64_t seed,
                       std::optional<std::int64_t> label);

/// A sample as JSON, the file of it in base64 under the name of its kind, and, of music, its notes. `command`: the one
/// that draws it again; empty: none does.
Json sample_json(const Sample& sample, const ServedModel& model, const std::string& command, const SaveOptions& save);

/// Objects of part, start, length and pitch.
Json notes_json(const std::vector<Note>& notes);

/// What pictures carry of a request's samples; `more`: facts further to those of every request.
std::vector<std::pair<std::string, std::string>> texts_of(const std::vector<Sample>& samples, const ServedModel& model,
                                                          const Request& request, const Json& more = Json::object());

/// The media types of files that hold `count` samples of a model, the usual one first.
std::vector<std::string> media_types(const ModelInfo& info, std::size_t count);
/// The kind of file of one of them.
FileKind file_kind_of(const std::string& media_type);

/// A file as the body of an answer.
std::string text_of(const std::vector<std::byte>& bytes);

}  // namespace onestep
