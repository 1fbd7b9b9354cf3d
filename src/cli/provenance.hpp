#pragma once

#include <cstddef>
#include <future>
#include <nlohmann/json.hpp>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "onestep/compose.hpp"
#include "onestep/generator.hpp"

namespace onestep {

/// To be called once, by main.
void remember_command(int argc, char** argv);

/// As a shell would have to be given it.
std::string quoted(const std::string& argument);

/// SHA-256 of files, one after the other, as 64 digits. Throws Error (file) where one can't be read, and when stopped.
std::string sha256_of_files(const std::vector<std::string>& files, const std::stop_token& stop = {});
std::string sha256_of(std::span<const std::byte> bytes);

/// The request that draws these samples of `request` again.
Request drawn_again(const Request& request, std::span<const Sample> samples);

/// What a file of a piece of music carries.
nlohmann::ordered_json facts_of(const Piece& piece, const ModelInfo& info);

/// The label of each sample, null where the model has none.
nlohmann::ordered_json labels_of(std::span<const Sample> samples);

/// The SHA-256 of a model's file; of a folder, of onestep.json and the components in the order of their names, one
/// after the other. It is computed meanwhile, on a thread of its own.
class ModelHash {
 public:
  /// model: its name or path.
  explicit ModelHash(const std::string& model);
  ~ModelHash() { gone_.request_stop(); }
  ModelHash(const ModelHash&) = delete;
  ModelHash& operator=(const ModelHash&) = delete;

  /// Throws Error (file) where a file of the model can't be read, and as loading does.
  std::string get() const { return text_.get(); }

 private:
  std::stop_source gone_;
  std::shared_future<std::string> text_;
};

/// How pictures were made, for them to carry: the command, and the model by its hash.
class Provenance {
 public:
  /// Throws as the hash does.
  explicit Provenance(const ModelHash& hash) : model_sha256_(hash.get()) {}

  const std::string& model_sha256() const { return model_sha256_; }
  /// For SaveOptions::texts: these facts and those. with_command: whether that is one of them.
  std::vector<std::pair<std::string, std::string>> texts(nlohmann::ordered_json facts, bool with_command = true) const;

 private:
  std::string model_sha256_;
};

}  // namespace onestep
