#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "onestep/canvas.hpp"
#include "onestep/generator.hpp"
#include "provenance.hpp"

namespace onestep {

// What goes over the wire: models, requests and samples as JSON and as files.

using Json = nlohmann::ordered_json;

/// A model that the server has, by its name.
struct ServedModel {
  Generator generator;
  Provenance provenance;
};

/// What a client can ask of it. `baseline`: the name of the diffusion model that it is compared with, or empty.
Json describe(const Generator& generator, const std::string& baseline);

/// An error that is answered with a status of its own.
struct Refusal {
  int status;
  std::string message, bound = "";  ///< bound: what was exceeded, or empty.
  int retry_after = 0;              ///< Seconds; 0: none is given.
};

Json to_json(const Refusal& refusal);

std::string base64(const std::vector<std::byte>& bytes);
/// Throws Refusal (422), which names the field.
std::vector<std::byte> from_base64(const std::string& text, const std::string& field);

/// A field of an object taken out of it; none where it is not there. Throw Refusal (422) on another type or a value out
/// of range.
std::optional<std::string> take_text(Json& object, const char* field);
std::optional<std::int64_t> take_whole(Json& object, const char* field, std::int64_t low, std::int64_t high);
std::optional<double> take_number(Json& object, const char* field, double low, double high);
bool take_flag(Json& object, const char* field);

/// The kinds of answer that an Accept header asks for, the one liked best first. Empty: anything.
std::vector<std::string> accepted(const std::string& header);

/// The command that draws a sample again.
std::string command_of(const Request& request, const ModelInfo& info, std::uint64_t seed,
                       std::optional<std::int64_t> label);

/// A sample as JSON, the file of it in base64 under the name of its kind. `command`: as command_of; empty: of an edit.
Json sample_json(const Sample& sample, const ServedModel& model, const Request& request, const std::string& command,
                 int enlarge);

/// What pictures carry of a request's samples.
std::vector<std::pair<std::string, std::string>> texts_of(const std::vector<Sample>& samples, const ServedModel& model,
                                                          const Request& request);

}  // namespace onestep
