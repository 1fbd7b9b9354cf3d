#pragma once

#include <optional>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "onestep/save.hpp"
#include "onestep/score.hpp"
#include "request_fields.hpp"
#include "served_models.hpp"

namespace onestep {

// What goes over the wire to a client: samples as JSON and as files, and the commands that draw them again.

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
