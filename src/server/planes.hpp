#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "connection.hpp"
#include "onestep/canvas.hpp"
#include "served_models.hpp"
#include "server_options.hpp"
#include "turns.hpp"

namespace onestep {

/// Answers with parts of endless planes: POST /api/canvas, and tiles by their addresses.
class Planes {
 public:
  Planes(const ServedModels& models, const ServerOptions& options, Turns& turns)
      : models_(models), options_(options), turns_(turns) {}

  void part(const http::Request& request, http::Response& response);
  void tile(const http::Request& request, http::Response& response);
  /// For as long as the client of this thread waits for it.
  Sample drawn(const Canvas& plane, std::uint64_t seed, const Rectangle& rectangle);

 private:
  /// A plane that is looked at: what was drawn of it is kept for a while.
  std::shared_ptr<const Canvas> kept(const ServedModel& model, const Request& request, const CanvasOptions& options);

  const ServedModels& models_;
  const ServerOptions& options_;
  Turns& turns_;
  std::mutex mutex_;
  std::list<std::pair<std::string, std::shared_ptr<const Canvas>>> canvases_;  ///< The one used last is the first.
};

}  // namespace onestep
