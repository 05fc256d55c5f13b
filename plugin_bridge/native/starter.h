// Starts a host where none answers, if the user's own file names the program that may be: see endpoint.h.
//
// Thread: network. It waits for nothing but the short life of a shell; the host is no child of the DAW's and ends by
// itself when nobody has needed it for a while. Nothing is started on Windows.
#pragma once

#include <string>

namespace descant {

// Run `PROGRAM host --on-demand --endpoint ENDPOINT`, at most once in `RETRY_S` seconds for all plugins of this
// process; false if it was too soon or could not be.
bool start_host(const std::string& program, const std::string& endpoint);

constexpr int RETRY_S = 30;

} // namespace descant
