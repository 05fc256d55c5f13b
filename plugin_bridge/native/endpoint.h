// Where the host is: the environment, the project, the user's file, or the place a host chooses by itself.
//
// Thread: any but audio; reads the environment and files.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace descant {

struct Address {
    std::string endpoint;
    std::string host_key, public_key, secret_key; // CURVE, Z85, 40 characters each; empty: none
    std::string program; // that may be started as a host there when none answers; empty: none may
};

// In this order: DESCANT_ENDPOINT, `saved` (of the project), `endpoint` of the file, the default. The file is
// descant/plugin.toml in the user's configuration folder: lines `name = "value"` with endpoint, host_key,
// public_key, secret_key, and start_host: the whole path of the `descant` that may be started when no host answers on
// this machine, at a place that no project has named. Other machines are never connected to without keys: the endpoint is empty then.
Address find_host(const std::string& saved);

// Where `descant host` listens when nothing else is said; of several candidates the one that has a socket.
std::string default_endpoint();

// The words of keys that a new project begins with: lines `key.60 = "words"` of the same file.
std::map<uint8_t, std::string> keys_of_file();

bool is_endpoint(const std::string& text); // ipc://PATH or tcp://HOST:PORT, plain characters
bool is_private(const std::string& endpoint);

} // namespace descant
