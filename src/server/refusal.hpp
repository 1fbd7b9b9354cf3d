#pragma once

#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>

namespace onestep {

/// An error that is answered with a status of its own.
struct Refusal {
  int status;
  std::string message, bound = "";  ///< bound: what was exceeded, or empty.
  int retry_after = 0;              ///< Seconds; 0: none is given.
  std::string allow = "";           ///< Of 405: the methods that there are.
};

nlohmann::ordered_json to_json(const Refusal& refusal);

/// What a client is told of something thrown.
Refusal refusal_of(const std::exception_ptr& error);

}  // namespace onestep
