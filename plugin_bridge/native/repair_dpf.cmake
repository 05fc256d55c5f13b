# Repairs on a copy of the framework (DISTRHO Plugin Framework 1.6), in the build folder; the original stays as it is.
#
# Each repair names what is wrong. One that no longer fits stops the build: then the framework has changed, and it must
# be looked at anew whether the repair is still needed.

function(repair file why old new)
  file(READ "${DPF}/${file}" text)
  string(FIND "${text}" "${old}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "The framework in ${DPF_DIR} is not the one Descant knows (1.6): ${file} cannot be repaired (${why}).")
  endif()
  string(REPLACE "${old}" "${new}" text "${text}")
  file(WRITE "${DPF}/${file}" "${text}")
endfunction()

set(SRC distrho/src)

# What DAWs say of the song, unrounded: the framework's bars, beats and ticks are wrong in 7/8, its CLAP frame is not
# the song's, and loops are not passed on.
repair(distrho/DistrhoPlugin.hpp "song" [[struct TimePosition {
]] [[struct TimePosition {
    struct Song {
        bool known = false, playing = false, hasFrame = false, hasBeat = false, tellsLoop = false, looping = false, offline = false;
        int64_t frame = 0;
        double beat = 0, tempo = 120, loopStart = 0, loopEnd = 0;
        uint32_t numerator = 4, denominator = 4;
    } song;

]])
repair(${SRC}/DistrhoPluginVST3.cpp "song" [[        if (v3_process_context* const ctx = data->ctx)
        {
]] [[        fTimePosition.song = TimePosition::Song();
        fTimePosition.song.offline = data->process_mode == V3_OFFLINE;
        if (data->ctx == nullptr)
            fPlugin.setTimePosition(fTimePosition);
        if (v3_process_context* const ctx = data->ctx)
        {
            TimePosition::Song& song(fTimePosition.song);
            song.known = (ctx->state & V3_PROCESS_CTX_TEMPO_VALID) != 0;
            song.playing = (ctx->state & V3_PROCESS_CTX_PLAYING) != 0;
            song.hasFrame = true;
            song.frame = ctx->project_time_in_samples;
            song.hasBeat = (ctx->state & V3_PROCESS_CTX_PROJECT_TIME_VALID) != 0;
            song.beat = ctx->project_time_quarters;
            song.tempo = ctx->bpm;
            if (ctx->state & V3_PROCESS_CTX_TIME_SIG_VALID)
            {
                song.numerator = ctx->time_sig_numerator;
                song.denominator = ctx->time_sig_denom;
            }
            song.tellsLoop = (ctx->state & V3_PROCESS_CTX_CYCLE_VALID) != 0;
            song.looping = (ctx->state & V3_PROCESS_CTX_CYCLE_ACTIVE) != 0;
            song.loopStart = ctx->cycle_start_quarters;
            song.loopEnd = ctx->cycle_end_quarters;
]])
repair(${SRC}/DistrhoPluginCLAP.cpp "song" [[        if (const clap_event_transport_t* const transport = process->transport)
        {
]] [[        fTimePosition.song = TimePosition::Song();
        fTimePosition.song.offline = fOffline;
        if (const clap_event_transport_t* const transport = process->transport)
        {
            TimePosition::Song& song(fTimePosition.song);
            song.known = (transport->flags & CLAP_TRANSPORT_HAS_TEMPO) != 0;
            song.playing = (transport->flags & CLAP_TRANSPORT_IS_PLAYING) != 0;
            song.hasFrame = (transport->flags & CLAP_TRANSPORT_HAS_SECONDS_TIMELINE) != 0;
            song.frame = std::llround(double(transport->song_pos_seconds) / CLAP_SECTIME_FACTOR * fPlugin.getSampleRate());
            song.hasBeat = (transport->flags & CLAP_TRANSPORT_HAS_BEATS_TIMELINE) != 0;
            song.beat = double(transport->song_pos_beats) / CLAP_BEATTIME_FACTOR;
            song.tempo = transport->tempo;
            if (transport->flags & CLAP_TRANSPORT_HAS_TIME_SIGNATURE)
            {
                song.numerator = transport->tsig_num;
                song.denominator = transport->tsig_denom;
            }
            song.tellsLoop = song.hasBeat;
            song.looping = (transport->flags & CLAP_TRANSPORT_IS_LOOP_ACTIVE) != 0;
            song.loopStart = double(transport->loop_start_beats) / CLAP_BEATTIME_FACTOR;
            song.loopEnd = double(transport->loop_end_beats) / CLAP_BEATTIME_FACTOR;
]])
# Whether the DAW bounces: CLAP's extension for it, JACK's freewheeling, LV2's designated port.
repair(${SRC}/DistrhoPluginCLAP.cpp "offline" [[    TimePosition fTimePosition;]] [[    TimePosition fTimePosition;
    std::atomic<bool> fOffline{false};]])
repair(${SRC}/DistrhoPluginCLAP.cpp "offline" [[    void onMainThread()
    {]] [[    void setOffline(const bool offline) noexcept
    {
        fOffline = offline;
    }

    void onMainThread()
    {]])
repair(${SRC}/DistrhoPluginCLAP.cpp "offline" [[static CLAP_ABI const void* clap_plugin_get_extension(const clap_plugin_t*, const char* const id)
{]] [[struct clap_plugin_render_t {
    bool (CLAP_ABI* has_hard_realtime_requirement)(const clap_plugin_t* plugin);
    bool (CLAP_ABI* set)(const clap_plugin_t* plugin, int32_t mode); // 0: in real time; 1: offline
};

static CLAP_ABI bool clap_plugin_render_is_hard(const clap_plugin_t*)
{
    return false;
}

static CLAP_ABI bool clap_plugin_render_set(const clap_plugin_t* const plugin, const int32_t mode)
{
    if (mode != 0 && mode != 1)
        return false;
    static_cast<PluginCLAP*>(plugin->plugin_data)->setOffline(mode == 1);
    return true;
}

static const clap_plugin_render_t clap_plugin_render = {
    clap_plugin_render_is_hard,
    clap_plugin_render_set
};

static CLAP_ABI const void* clap_plugin_get_extension(const clap_plugin_t*, const char* const id)
{
    if (std::strcmp(id, "clap.render") == 0)
        return &clap_plugin_render;]])
repair(${SRC}/DistrhoPluginCLAP.cpp "offline" [[#include "clap/ext/latency.h"]] [[#include "clap/ext/latency.h"
#include <atomic>]])
repair(${SRC}/DistrhoPluginJACK.cpp "offline" [[        jackbridge_on_shutdown(fClient, jackShutdownCallback, this);]] [[        jackbridge_on_shutdown(fClient, jackShutdownCallback, this);
        jackbridge_set_freewheel_callback(fClient, jackFreewheelCallback, this);]])
repair(${SRC}/DistrhoPluginJACK.cpp "offline" [[    static void jackShutdownCallback(void* ptr)
    {]] [[    static void jackFreewheelCallback(int starting, void* ptr)
    {
        thisPtr->fTimePosition.song.offline = starting != 0;
    }

    static void jackShutdownCallback(void* ptr)
    {]])
repair(${SRC}/DistrhoPluginLV2export.cpp "offline" [[                    // short name
                    const String& shortName(plugin.getParameterShortName(i));]] [[                    if (symbol == "wait")
                        pluginString += "        lv2:designation lv2:freeWheeling ;\n";

                    // short name
                    const String& shortName(plugin.getParameterShortName(i));]])
# In other formats a division by a metre's zero.
repair(${SRC}/DistrhoPluginVST3.cpp "7/8" [[const int    ppqPerBar = ctx->time_sig_numerator * 4 / ctx->time_sig_denom;]]
  [[const int    ppqPerBar = std::max(1, ctx->time_sig_numerator * 4 / std::max(1, ctx->time_sig_denom));]])
repair(${SRC}/DistrhoPluginCLAP.cpp "0/0" [[transport->flags & (CLAP_TRANSPORT_HAS_BEATS_TIMELINE|CLAP_TRANSPORT_HAS_TIME_SIGNATURE)) == (CLAP_TRANSPORT_HAS_BEATS_TIMELINE|CLAP_TRANSPORT_HAS_TIME_SIGNATURE))]]
  [[transport->flags & (CLAP_TRANSPORT_HAS_BEATS_TIMELINE|CLAP_TRANSPORT_HAS_TIME_SIGNATURE)) == (CLAP_TRANSPORT_HAS_BEATS_TIMELINE|CLAP_TRANSPORT_HAS_TIME_SIGNATURE) && transport->tsig_num != 0)]])
# The last controller's number was also the first parameter's; and 16 channels of 130 controllers made 2,080 parameters,
# for which some DAWs need ten seconds: one channel carries all.
repair(${SRC}/DistrhoPluginVST.hpp "controllers" [[kVst3InternalParameterMidiCC_end = kVst3InternalParameterMidiCC_start + 130*16,
    kVst3InternalParameterCount = kVst3InternalParameterMidiCC_end]] [[kVst3InternalParameterMidiCC_end = kVst3InternalParameterMidiCC_start + 130 - 1,
    kVst3InternalParameterCount]])
repair(${SRC}/DistrhoPluginVST3.cpp "controllers" [[kVst3InternalParameterMidiCC_start + channel * 130 + cc;]] [[kVst3InternalParameterMidiCC_start + cc;]])
# A DAW may switch the input bus off: reading past the list of buses, and a line printed from the audio thread.
repair(${SRC}/DistrhoPluginVST3.cpp "buses" [[while (!fEnabledInputs[i] && i < DISTRHO_PLUGIN_NUM_INPUTS)]] [[while (i < DISTRHO_PLUGIN_NUM_INPUTS && !fEnabledInputs[i])]])
repair(${SRC}/DistrhoPluginVST3.cpp "buses" [[DISTRHO_SAFE_ASSERT_INT_BREAK(i < DISTRHO_PLUGIN_NUM_INPUTS, i);]] [[if (i >= DISTRHO_PLUGIN_NUM_INPUTS) break;]])
repair(${SRC}/DistrhoPluginVST3.cpp "buses" [[while (!fEnabledOutputs[i] && i < DISTRHO_PLUGIN_NUM_OUTPUTS)]] [[while (i < DISTRHO_PLUGIN_NUM_OUTPUTS && !fEnabledOutputs[i])]])
repair(${SRC}/DistrhoPluginVST3.cpp "buses" [[DISTRHO_SAFE_ASSERT_INT_BREAK(i < DISTRHO_PLUGIN_NUM_OUTPUTS, i);]] [[if (i >= DISTRHO_PLUGIN_NUM_OUTPUTS) break;]])
# A velocity of 100/127 became 99, a controller of 1/127 became 0, and the highest pitch bend was no MIDI.
repair(${SRC}/DistrhoPluginVST3.cpp "velocity" [[(int)(eventStorage.noteOn.velocity * 127)]] [[(int)(eventStorage.noteOn.velocity * 127 + 0.5f)]])
repair(${SRC}/DistrhoPluginVST3.cpp "velocity" [[(int)(eventStorage.noteOff.velocity * 127)]] [[(int)(eventStorage.noteOff.velocity * 127 + 0.5f)]])
repair(${SRC}/DistrhoPluginVST3.cpp "value" [[(int)(normalized * 127)]] [[(int)(normalized * 127 + 0.5)]])
repair(${SRC}/DistrhoPluginVST3.cpp "bend" [[std::min(16384, (int)(normalized * 16384))]] [[std::min(16383, (int)(normalized * 16384 + 0.001))]])
# A transport event among a block's events was read as MIDI, with a line printed from the audio thread.
repair(${SRC}/DistrhoPluginCLAP.cpp "events" [[case CLAP_EVENT_TRANSPORT:
                    case CLAP_EVENT_MIDI:]] [[case CLAP_EVENT_TRANSPORT:
                        break;
                    case CLAP_EVENT_MIDI:]])
# A parameter that does not exist was written all the same, beyond the list.
repair(${SRC}/DistrhoPluginCLAP.cpp "parameters" [[        fCachedParameters.values[event->param_id] = event->value;]] [[        if (event->param_id >= fCachedParameters.numParams)
            return;
        fCachedParameters.values[event->param_id] = event->value;]])
# Bars were counted from the beat that had already been wrapped.
repair(${SRC}/DistrhoPluginLV2.cpp "bars" [[fLastPositionData.barBeat = std::fmod(fLastPositionData.barBeat+addedBarBeats,]]
  [[const double passedBars = std::floor((fLastPositionData.barBeat+addedBarBeats)/fLastPositionData.beatsPerBar);
                        fLastPositionData.barBeat = std::fmod(fLastPositionData.barBeat+addedBarBeats,]])
repair(${SRC}/DistrhoPluginLV2.cpp "bars" [[fLastPositionData.bar += std::floor((fLastPositionData.barBeat+addedBarBeats)/
                                                             fLastPositionData.beatsPerBar);]] [[fLastPositionData.bar += passedBars;]])
