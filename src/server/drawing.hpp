#pragma once

#include <vector>

#include "compute.hpp"
#include "connection.hpp"
#include "served_models.hpp"
#include "server_options.hpp"
#include "wire.hpp"

namespace onestep {

/// Answers with samples: POST /api/generate and /api/edit.
class Drawing {
 public:
  /// What a request asks for.
  struct Prepared {
    const ServedModel* model;
    Request request;
    Report plan = {};  ///< Of the request.
    int columns = 0, enlarge = 1;
    bool previews = false, is_edit = false;
  };

  Drawing(const ServedModels& models, const ServerOptions& options)
      : models_(models), options_(options), compute_(options.compute) {}

  void generate(const http::Request& request, http::Response& response);
  void edit(const http::Request& request, http::Response& response);
  /// With its plan. Throws Error (usage) and Refusal (422) on a request that breaks a rule.
  static Prepared planned(Prepared prepared);
  /// All samples of what is planned, for as long as the client of this thread waits for them.
  std::vector<Sample> samples_of(const Prepared& prepared, Json* report = nullptr);
  ComputeCounts counts() const { return compute_.counts(); }

 private:
  /// Without its plan.
  Prepared read(Json body) const;
  Prepared read_edit(Json body) const;
  /// Draws and answers in the kind that is asked for.
  void answer(Prepared prepared, const http::Request& request, http::Response& response);
  void stream(Prepared prepared, http::Response& response);

  const ServedModels& models_;
  const ServerOptions& options_;
  Compute compute_;
};

}  // namespace onestep
