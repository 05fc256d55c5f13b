// The plugin's parameters: one row each. `wire`: the host's name for it (host/preset.py); nullptr: the plugin's own.
#pragma once

#include <cstdint>

namespace descant {

enum ParameterId : uint32_t {
    GAIN, TEMPERATURE, GUIDANCE, TOP_K, TOP_P, MELODY, CHORDS, BEAT, PLAY, PRESET, SEED, RUN_ON, PANIC, WAIT,
    DRY, ARM, ARM_NOTE, COUNT_IN, TAKE_LAST,
    EVERY, FALL, QUANTISE, TRANSITION, XY, X, Y, BETA,
    N_INPUTS, // what follows the plugin sets itself
    STATUS = N_INPUTS, LEAD, LOAD, DELAY, UNDERRUNS, CAPTURE,
    N_PARAMETERS
};

struct ParameterRow {
    const char* symbol;
    const char* name;
    const char* unit;
    float low, high, otherwise;
    enum Kind { REAL, WHOLE, SWITCH, BUTTON } kind;
    const char* wire;
    const char* words = nullptr; // of a WHOLE one: a name for each value from low on, between bars
};

constexpr ParameterRow PARAMETERS[N_PARAMETERS] = {
    {"gain", "Gain", "dB", -60, 12, 0, ParameterRow::REAL, nullptr},
    {"temperature", "Temperature", "", 0, 2, 1, ParameterRow::REAL, "temperature"},
    {"guidance", "Guidance", "", 1, 8, 3, ParameterRow::REAL, "guidance"},
    {"top_k", "Top k", "", 1, 4096, 250, ParameterRow::WHOLE, "top_k"},
    {"top_p", "Top p", "", 0, 1, 0, ParameterRow::REAL, "top_p"},
    {"melody", "Melody", "", 0, 1, 1, ParameterRow::REAL, "melody"},
    {"chords", "Chords", "", 0, 1, 1, ParameterRow::REAL, "chords"},
    {"beat", "Beat", "", 0, 1, 1, ParameterRow::REAL, "beat"},
    {"play", "Play pad", "", 0, 128, 0, ParameterRow::WHOLE, nullptr},     // 0: none; n: pad n - 1, when it changes
    {"preset", "Preset", "", 0, 256, 0, ParameterRow::WHOLE, nullptr},     // 0: the project's; n: the host's n-th
    {"seed", "Seed", "", 0, 9999, 0, ParameterRow::WHOLE, nullptr},
    {"run_on", "Play on when stopped", "", 0, 1, 0, ParameterRow::SWITCH, nullptr},
    {"panic", "Panic", "", 0, 1, 0, ParameterRow::BUTTON, nullptr},
    {"wait", "Bounce", "", 0, 1, 0, ParameterRow::SWITCH, nullptr},        // as if the DAW said that it bounces
#ifdef DESCANT_EFFECT
    {"dry", "Dry", "dB", -60, 12, 0, ParameterRow::REAL, nullptr},         // the input, in the output; -60: not at all
#else
    {"dry", "Dry", "dB", -60, 12, -60, ParameterRow::REAL, nullptr},       // an instrument has no input
#endif
    {"arm", "Arm", "", 0, 1, 0, ParameterRow::SWITCH, nullptr},            // record a melody while it is on, bar-exact
    {"arm_note", "Arm note", "", 0, 128, 0, ParameterRow::WHOLE, nullptr}, // 0: none; n: held key n - 1 arms, too
    {"count_in", "Count-in", "bars", 0, 8, 0, ParameterRow::WHOLE, nullptr},
    {"take_last", "Take last minute", "", 0, 1, 0, ParameterRow::BUTTON, nullptr},
    {"guidance_every", "Guidance every", "steps", 1, 16, 1, ParameterRow::WHOLE, "guidance_every"},
    {"guidance_fall", "Guidance fall", "s", 0, 60, 0, ParameterRow::REAL, "guidance_fall"},
    {"quantise", "Quantise", "", 0, 6, 0, ParameterRow::WHOLE, "quantise", "preset|off|beat|bar|2 bars|4 bars|8 bars"},
    {"transition", "Transition", "", 0, 3, 0, ParameterRow::WHOLE, "transition", "preset|morph|cut|fade"},
    {"xy", "XY", "", 0, 1, 0, ParameterRow::REAL, "xy"},                   // how much pads 0..3 are in the words
    {"x", "X", "", 0, 1, 0, ParameterRow::REAL, "x"},
    {"y", "Y", "", 0, 1, 0, ParameterRow::REAL, "y"},
    {"beta", "Words over melody", "", 0, 20, 1, ParameterRow::REAL, "beta"}, // 1: as the guidance has it
    {"status", "Link", "", 0, 7, 0, ParameterRow::WHOLE, nullptr,          // LinkState of shared.h; 7: a bounce failed
     "off|looking for a host|live|host lost|refused|host of another version|live, another model|bounce failed"},
    {"lead", "Lead", "ms", -10000, 60000, 0, ParameterRow::REAL, nullptr},
    {"load", "Load", "", 0, 10, 0, ParameterRow::REAL, nullptr},
    {"delay", "Control delay", "ms", 0, 10000, 0, ParameterRow::REAL, nullptr},
    {"underruns", "Underruns", "", 0, 1e6, 0, ParameterRow::WHOLE, nullptr},
    {"capture", "Capture", "", 0, 5, 0, ParameterRow::WHOLE, nullptr,      // Report::Capture of shared.h
     "idle|armed|recording|sent|taken|refused"},
};

} // namespace descant
