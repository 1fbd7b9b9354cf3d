#include "access.hpp"

#include "onestep/error.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

/// As long for a wrong token as for the right one of its length.
bool same(const std::string& a, const std::string& b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i] ^ b[b.empty() ? 0 : i % b.size()]);
  return difference == 0;
}

/// "host:port", "[::1]:port" without the port.
std::string without_port(const std::string& authority) {
  const std::size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string::npos && authority.find(']', colon) == std::string::npos &&
                        (authority.find(':') == colon || authority.starts_with('['));
  std::string host = has_port ? authority.substr(0, colon) : authority;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

}  // namespace

void require_closed(const ServerOptions& options) {
  if (!is_loopback(options.host) && options.token.empty()) {
    throw Error(
        ErrorKind::usage,
        "--host " + options.host + " lets others in: give --token, a secret of 16 characters or more that they need");
  }
  if (!options.token.empty() && options.token.size() < 16)
    throw Error(ErrorKind::usage, "--token has " + std::to_string(options.token.size()) +
                                      " characters; give 16 or more, such as of `openssl rand -hex 16`");
}

/// A page of another host must not reach a server that only this machine is to reach (DNS rebinding).
std::optional<Refusal> refusal_of_access(const httplib::Request& request, const ServerOptions& options, int port) {
  const std::string named = request.get_header_value("Host"), host = without_port(named);
  if (!is_loopback(host) && (is_loopback(options.host) || host.empty())) {
    return Refusal{403,
                   "Host " + shown(named) + " is not this server; it is " + options.host + ":" + std::to_string(port)};
  }
  if (request.has_header("Origin")) {
    const std::string origin = request.get_header_value("Origin");
    const std::size_t slashes = origin.find("://");
    if (slashes == std::string::npos || origin.substr(slashes + 3) != named)
      return Refusal{403, "Origin " + shown(origin) + " is another page; the API is for this server's own"};
  }
  const bool needs_token = request.path.starts_with("/api/") || request.path.starts_with("/v1/");
  if (!options.token.empty() && needs_token &&
      !same(request.get_header_value("Authorization"), "Bearer " + options.token))
    return Refusal{401, "the header Authorization must be Bearer and the token that the server was started with"};
  return {};
}

}  // namespace onestep
