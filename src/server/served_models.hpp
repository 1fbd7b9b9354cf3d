#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "provenance.hpp"

namespace onestep {

struct ServedModel {
  Generator generator;
  Provenance provenance;
};

/// The models that a server has, by their names.
class ServedModels {
 public:
  /// One or more. Throws Error (usage) on two of one name.
  explicit ServedModels(std::vector<std::unique_ptr<ServedModel>> models);

  const ServedModel& first() const { return *models_.front(); }
  /// nullptr: there is none.
  const ServedModel* first_of(Modality modality) const;
  const ServedModel* find(const std::string& name) const;
  /// Throws Refusal (422) where there is none.
  const ServedModel& named(const std::string& name) const;
  /// That of the field `model`, which is taken out; without one the first.
  const ServedModel& take(nlohmann::ordered_json& body) const;
  /// What a client can ask of each.
  nlohmann::ordered_json described() const;

 private:
  std::vector<std::unique_ptr<ServedModel>> models_;
};

}  // namespace onestep
