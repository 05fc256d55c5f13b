// The plugin as a DAW sees it: parameters, state and blocks of audio, handed to the core. No work of its own.
//
// Threads are those of the framework: `run` is the audio thread, `setParameterValue` may be too; all else is the main
// thread, and never runs beside `run` unless it only reads.

#include "DistrhoPlugin.hpp"

#include <atomic>
#include <cmath>
#include <memory>
#include <sstream>
#include <string>

#include "core.h"
#include "endpoint.h"
#include "settings.h"

START_NAMESPACE_DISTRHO

using namespace descant;

class DescantPlugin : public Plugin {
public:
    DescantPlugin() : Plugin(N_PARAMETERS, 0, 1)
    {
        for (uint32_t i = 0; i < N_INPUTS; ++i)
            values_[i].store(PARAMETERS[i].otherwise, std::memory_order_relaxed);
        settings_.keys = keys_of_file();
    }

protected:
    const char* getLabel() const override { return DISTRHO_PLUGIN_NUM_INPUTS ? "descant_effect" : "descant"; }
    const char* getDescription() const override { return "Music that answers pads, keys and chords, in time with the song."; }
    const char* getMaker() const override { return "Descant"; }
    const char* getHomePage() const override { return "https://descant.dev"; }
    const char* getLicense() const override { return "Apache-2.0"; }
    uint32_t getVersion() const override { return d_version(0, 1, 0); }
    int64_t getUniqueId() const override { return DISTRHO_PLUGIN_NUM_INPUTS ? d_cconst('D', 's', 'c', 'E') : d_cconst('D', 's', 'c', 'I'); }

    void initParameter(uint32_t index, Parameter& parameter) override
    {
        const ParameterRow& row = PARAMETERS[index];
        parameter.hints = index < N_INPUTS ? kParameterIsAutomatable : kParameterIsOutput;
        if (row.kind != ParameterRow::REAL)
            parameter.hints |= kParameterIsInteger;
        if (row.kind == ParameterRow::SWITCH || row.kind == ParameterRow::BUTTON)
            parameter.hints |= kParameterIsBoolean;
        parameter.name = row.name;
        parameter.symbol = row.symbol;
        parameter.unit = row.unit;
        parameter.ranges.min = row.low;
        parameter.ranges.max = row.high;
        parameter.ranges.def = row.otherwise;
        if (row.words)
            name_values(parameter, row);
    }

    void initState(uint32_t, State& state) override
    {
        state.key = "session";
        state.label = "Session";
        state.defaultValue = "";
        state.hints = kStateIsHostReadable;
    }

    float getParameterValue(uint32_t index) const override
    {
        if (index < N_INPUTS)
            return values_[index].load(std::memory_order_relaxed);
        if (!core_)
            return PARAMETERS[index].otherwise;
        switch (index) {
        case STATUS: return core_->report.bounce == Report::FAILED ? 7.0f : float(core_->report.state.load());
        case LEAD: return clamped(index, core_->report.lead_ms.load());
        case LOAD: return clamped(index, core_->report.load.load());
        case DELAY: return clamped(index, core_->report.control_delay_ms.load());
        case CAPTURE: return float(std::max(core_->report.recording.load(), core_->report.recording.load() ? 0u : core_->report.clip.load()));
        case UNDERRUNS: return clamped(index, float(core_->underruns.load()));
        }
        return 0;
    }

    void setParameterValue(uint32_t index, float value) override
    {
        if (index < N_INPUTS && std::isfinite(value))
            values_[index].store(PARAMETERS[index].kind == ParameterRow::REAL ? clamped(index, value) : std::round(clamped(index, value)), std::memory_order_relaxed);
    }

    String getState(const char*) const override { return String(write_settings(core_ ? core_->link.settings() : settings_).c_str()); }

    void setState(const char* key, const char* value) override
    {
        if (std::strcmp(key, "session") != 0 || !read_settings(value, settings_))
            return; // foreign: what was stays
        if (core_)
            core_->link.set_settings(settings_);
    }

    void activate() override
    {
        if (isDummyInstance())
            return;
        forget();
        core_ = std::make_unique<Core>(getSampleRate(), getBufferSize(), DISTRHO_PLUGIN_NUM_OUTPUTS, getName(), DISTRHO_PLUGIN_NUM_INPUTS);
        core_->link.set_settings(settings_);
        core_->link.set_seed(uint64_t(values_[SEED].load()));
        core_->activate();
    }

    void deactivate() override { forget(); }

    void run(const float** inputs, float** outputs, uint32_t frames, const MidiEvent* events, uint32_t n_events) override
    {
        if (!core_) {
            for (uint32_t c = 0; c < DISTRHO_PLUGIN_NUM_OUTPUTS; ++c)
                std::memset(outputs[c], 0, frames * sizeof(float));
            return;
        }
        uint32_t n = 0;
        for (uint32_t i = 0; i < n_events && n < MOST_EVENTS; ++i)
            if (events[i].size >= 1 && events[i].size <= 3) {
                descant::MidiEvent& event = midi_[n++];
                event.offset = events[i].frame;
                event.size = events[i].size;
                std::memcpy(event.data, events[i].data, 3);
            }
        core_->process(DISTRHO_PLUGIN_NUM_INPUTS ? inputs : nullptr, outputs, frames, song_time(), midi_, n, values_);
    }

private:
    static constexpr uint32_t MOST_EVENTS = 2048; // in a block; the framework passes on 512

    static void name_values(Parameter& parameter, const ParameterRow& row)
    {
        const auto n = uint8_t(row.high - row.low + 1);
        parameter.enumValues.values = new ParameterEnumerationValue[n];
        parameter.enumValues.count = n;
        parameter.enumValues.restrictedMode = true;
        std::istringstream words(row.words);
        std::string word;
        for (uint8_t i = 0; i < n && std::getline(words, word, '|'); ++i)
            parameter.enumValues.values[i] = ParameterEnumerationValue(row.low + float(i), word.c_str());
    }

    static float clamped(uint32_t index, float value)
    {
        return std::min(std::max(value, PARAMETERS[index].low), PARAMETERS[index].high);
    }

    void forget()
    {
        if (core_) {
            core_->deactivate();
            settings_ = core_->link.settings();
            core_.reset();
        }
    }

    // Thread: audio.
    SongTime song_time() const noexcept
    {
        const TimePosition& position = getTimePosition();
        SongTime song;
        song.offline = position.song.offline || values_[WAIT].load(std::memory_order_relaxed) >= 0.5f;
        const TimePosition::Song& told = position.song;
        const TimePosition::BarBeatTick& bbt = position.bbt;
        if (told.known) { // VST3 and CLAP: as the DAW says it
            song.known = true;
            song.playing = told.playing;
            song.has_frame = told.hasFrame;
            song.frame = told.frame;
            song.has_beat = told.hasBeat;
            song.beat = told.beat;
            song.tempo = told.tempo;
            song.numerator = told.numerator;
            song.denominator = told.denominator;
            song.tells_loop = told.tellsLoop;
            song.looping = told.looping;
            song.loop_start = told.loopStart;
            song.loop_end = told.loopEnd;
        } else if (bbt.valid && bbt.ticksPerBeat > 0 && bbt.beatType > 0) { // JACK and LV2: bars, beats and ticks
            song.known = song.has_frame = song.has_beat = true;
            song.playing = position.playing;
            song.frame = int64_t(position.frame);
            song.tempo = bbt.beatsPerMinute;
            const double quarters = 4 / double(bbt.beatType);
            song.beat = ((bbt.bar - 1) * double(bbt.beatsPerBar) + (bbt.beat - 1) + bbt.tick / bbt.ticksPerBeat) * quarters;
            song.grain = quarters / bbt.ticksPerBeat;
            song.numerator = uint32_t(bbt.beatsPerBar);
            song.denominator = uint32_t(bbt.beatType);
        }
        return song;
    }

    std::atomic<float> values_[N_INPUTS];
    Settings settings_;
    std::unique_ptr<Core> core_;
    descant::MidiEvent midi_[MOST_EVENTS];
};

Plugin* createPlugin() { return new DescantPlugin(); }

END_NAMESPACE_DISTRHO
