#pragma once

#include "connection.hpp"
#include "served_models.hpp"
#include "turns.hpp"

namespace onestep {

/// Answers with pieces of music: POST /api/compose.
class Pieces {
 public:
  Pieces(const ServedModels& models, Turns& turns) : models_(models), turns_(turns) {}

  void compose(const http::Request& request, http::Response& response);

 private:
  const ServedModels& models_;
  Turns& turns_;
};

}  // namespace onestep
