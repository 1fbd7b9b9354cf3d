#pragma once

#include <httplib.h>

#include <optional>
#include <string>

#include "refusal.hpp"
#include "server_options.hpp"

namespace onestep {

/// Throws Error (usage) where the options would let in everybody.
void require_closed(const ServerOptions& options);

/// Why a request is not let in: its Host, its Origin or its token. `port`: that is listened at.
std::optional<Refusal> refusal_of_access(const httplib::Request& request, const ServerOptions& options, int port);

}  // namespace onestep
