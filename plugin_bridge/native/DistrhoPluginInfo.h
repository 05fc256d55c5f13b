// What the framework must know of the plugin before it compiles; DESCANT_EFFECT makes the other identity.
#pragma once

#define DISTRHO_PLUGIN_BRAND "Descant"
#ifdef DESCANT_EFFECT
#define DISTRHO_PLUGIN_NAME "Descant Effect"
#define DISTRHO_PLUGIN_URI "https://descant.dev/plugins/effect"
#define DISTRHO_PLUGIN_CLAP_ID "dev.descant.effect"
#define DISTRHO_PLUGIN_NUM_INPUTS 2
#define DISTRHO_PLUGIN_IS_SYNTH 0
#define DISTRHO_PLUGIN_CLAP_FEATURES "audio-effect", "stereo"
#define DISTRHO_PLUGIN_LV2_CATEGORY "lv2:GeneratorPlugin"
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Fx|Generator"
#else
#define DISTRHO_PLUGIN_NAME "Descant"
#define DISTRHO_PLUGIN_URI "https://descant.dev/plugins/instrument"
#define DISTRHO_PLUGIN_CLAP_ID "dev.descant.instrument"
#define DISTRHO_PLUGIN_NUM_INPUTS 0
#define DISTRHO_PLUGIN_IS_SYNTH 1
#define DISTRHO_PLUGIN_CLAP_FEATURES "instrument", "stereo"
#define DISTRHO_PLUGIN_LV2_CATEGORY "lv2:InstrumentPlugin"
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Instrument|Generator"
#endif
#define DISTRHO_PLUGIN_NUM_OUTPUTS 2
#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_IS_RT_SAFE 1
#define DISTRHO_PLUGIN_WANT_MIDI_INPUT 1
#define DISTRHO_PLUGIN_WANT_MIDI_OUTPUT 0
#define DISTRHO_PLUGIN_WANT_PROGRAMS 0
#define DISTRHO_PLUGIN_WANT_STATE 1
#define DISTRHO_PLUGIN_WANT_FULL_STATE 1
#define DISTRHO_PLUGIN_WANT_TIMEPOS 1
#define DISTRHO_PLUGIN_WANT_LATENCY 0
