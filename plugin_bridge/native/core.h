// The audio thread's whole work, block by block, without any plugin format: events and transport out, audio in.
//
// `process` takes no lock, allocates nothing, opens nothing, logs nothing and never waits: it moves plain records
// through the rings of shared.h and reads the playout ring. Who does what: says.h tells, clips.h records, hold.h covers.
//
// In a bounce (SongTime::offline) it does wait, see bounce.h; when one has failed, the rest of it is silence.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "bounce.h"
#include "clips.h"
#include "hold.h"
#include "link.h"
#include "parameters.h"
#include "playout.h"
#include "says.h"
#include "song.h"

namespace descant {

class Core {
public:
    // Thread: main. sample_rate: Hz. block_size: what the DAW usually asks for. channels: 1..8. name: who we are.
    // inputs: 0, or how many channels of input are recorded and passed on.
    Core(double sample_rate, uint32_t block_size, uint32_t channels, const char* name, uint32_t inputs = 0);

    // Thread: main; not while `process` may run. Open the link and close it; a core can do so again and again.
    void activate();
    void deactivate();

    // Thread: audio. Fill out[c][0..n); parameters: N_INPUTS values in their ranges. in[c][0..n): the input, which may
    // be the same memory; null without one.
    void process(const float* const* in, float* const* out, uint32_t n, const SongTime& song, const MidiEvent* events, uint32_t n_events,
                 const std::atomic<float>* parameters) noexcept;

    // Thread: main; not while `process` may run. How long a bounce waits for a host, in seconds.
    void set_patience(double seconds) { bounce_.patience = seconds; }

    Link link;
    Report report;
    std::atomic<uint64_t> underruns{0}, dropped{0};

    // For tests and offline reading: whether the next n samples and the fade after them are there. Thread: audio.
    bool ready(int64_t n) noexcept;
    int64_t playhead() const noexcept { return playout_.playhead; }

private:
    void follow_bounce(bool offline) noexcept;
    void fill(const float* const* in, float* const* out, uint32_t n, const std::atomic<float>* parameters) noexcept;
    void read_live(float* const* out, uint32_t n) noexcept;
    void shape(float* const* out, uint32_t n, float gain_db) noexcept;

    const double sample_rate_;
    const uint32_t block_size_, channels_, inputs_;
    const char* const name_;
    Shared shared_;
    Playout playout_;
    Bounce bounce_;
    Says says_;
    Clips clips_;
    SongClock song_;
    bool offline_ = false; // the DAW bounces
    uint32_t welcomes_ = 0;
    Transport transport_;
    bool has_transport_ = false;
    float level_ = 1, gain_ = 1; // of the gate and of the gain parameter, as they were at the end of the last block
    std::vector<std::vector<float>> wet_; // [channels][a part of a block]
    std::vector<float> cover_;            // of a part of a block
    Hold hold_;
    uint32_t plans_ = 0;
    int64_t quiet_from_ = INT64_MAX; // silence is meant from there on
    float dry_ = 0;
};

} // namespace descant
