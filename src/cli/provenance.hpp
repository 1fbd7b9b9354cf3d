#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "onestep/generator.hpp"

namespace onestep {

/// To be called once, by main.
void remember_command(int argc, char** argv);

/// As a shell would have to be given it.
std::string quoted(const std::string& argument);

/// The request that draws these samples of `request` again.
Request drawn_again(const Request& request, const std::vector<Sample>& samples);

/// The label of each sample, null where the model has none.
nlohmann::ordered_json labels_of(const std::vector<Sample>& samples);

/// How pictures were made, for them to carry: the command, and the model by the SHA-256 of its file; of a folder, of
/// onestep.json and the components in the order of their names, one after the other.
class Provenance {
 public:
  /// Throws Error (file) where a file of the model can't be read.
  explicit Provenance(const Generator& generator);

  const std::string& model_sha256() const { return model_sha256_; }
  /// For SaveOptions::texts: these facts and those.
  std::vector<std::pair<std::string, std::string>> texts(nlohmann::ordered_json facts) const;

 private:
  std::string model_sha256_;
};

}  // namespace onestep
