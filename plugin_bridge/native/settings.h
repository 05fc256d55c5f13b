// What a project remembers beside the parameters: which host, preset, model and weights. Versioned text.
//
// Thread: any but audio.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace descant {

struct Settings {
    std::string endpoint; // empty: find the host (endpoint.h)
    std::string preset;   // empty: the host's default
    std::string model;    // empty: the one the host has
    std::map<uint8_t, std::string> keys; // the words that a key 0..127 plays, where it has its own
    std::string weights;  // hash of the model the project was made with; empty: not yet known
};

constexpr size_t MAX_SETTINGS_BYTES = size_t(1) << 20;

// One `name=value` a line after a first line that says what it is and which version. Version 1 had no keys.
std::string write_settings(const Settings&);

int key_of(const std::string& name);    // of `key.N`; -1: it is no such name
bool is_words(const std::string& text); // what a key may play: 1..2000 characters, none of them for control

// Whether the text is settings of a version we know; `out` is unchanged if not. Empty text: all as at first.
bool read_settings(const std::string& text, Settings& out);

} // namespace descant
