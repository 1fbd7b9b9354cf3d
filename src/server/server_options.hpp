#pragma once

#include <cstdint>
#include <string>

#include "compute.hpp"

namespace onestep {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;                ///< 0: one that is free.
  std::string token = "";         ///< That callers must give; needed where the host is not this machine alone.
  std::int64_t body = 32 << 20;   ///< Bytes of a request, at most.
  std::int64_t count = 1000;      ///< Samples of a request, at most.
  std::int64_t pixels = 1 << 24;  ///< Of a part of a plane, at most.
  std::int64_t seconds = 300;     ///< That a request may take.
  std::int64_t clients = 256;     ///< Connections at once, and half as many of one address at most.
  ComputeBounds compute = {};
};

}  // namespace onestep
