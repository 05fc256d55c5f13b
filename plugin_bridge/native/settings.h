// What a project remembers beside the parameters: which host, preset, model and weights. Versioned text.
//
// Thread: any but audio.
#pragma once

#include <string>

namespace descant {

struct Settings {
    std::string endpoint; // empty: find the host (endpoint.h)
    std::string preset;   // empty: the host's default
    std::string model;    // empty: the one the host has
    std::string weights;  // hash of the model the project was made with; empty: not yet known
};

constexpr size_t MAX_SETTINGS_BYTES = 8192;

// One `name=value` a line after a first line that says what it is and which version.
std::string write_settings(const Settings&);

// Whether the text is settings of a version we know; `out` is unchanged if not. Empty text: all as at first.
bool read_settings(const std::string& text, Settings& out);

} // namespace descant
