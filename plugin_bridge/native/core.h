// The audio thread's whole work, block by block, without any plugin format: events and transport out, audio in.
//
// `process` takes no lock, allocates nothing, opens nothing, logs nothing and never waits: it moves plain records
// through the rings of link.h and reads the playout ring. What a full ring does not take is counted in `dropped`,
// save for a jump of the playhead, which is said as soon as there is room, before anything else.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "link.h"
#include "parameters.h"
#include "playout.h"
#include "song.h"

namespace descant {

struct MidiEvent {
    uint32_t offset; // samples from the block's start
    uint32_t size;
    uint8_t data[3];
};

class Core {
public:
    // Thread: main. sample_rate: Hz. block_size: what the DAW usually asks for. channels: 1..8. name: who we are.
    Core(double sample_rate, uint32_t block_size, uint32_t channels, const char* name);

    // Thread: main; not while `process` may run. Open the link and close it; a core can do so again and again.
    void activate();
    void deactivate();

    // Thread: audio. Fill out[c][0..n); parameters: N_INPUTS values in their ranges.
    void process(float* const* out, uint32_t n, const SongTime& song, const MidiEvent* events, uint32_t n_events,
                 const std::atomic<float>* parameters) noexcept;

    Link link;
    Report report;
    std::atomic<uint64_t> underruns{0}, dropped{0};

    // For tests and offline reading: whether the next n samples and the fade after them are there. Thread: audio.
    bool ready(int64_t n) noexcept;
    int64_t playhead() const noexcept { return playout_.playhead; }

private:
    void take_audio(int64_t most) noexcept;
    void say(Event event) noexcept;
    void say_again(int64_t at) noexcept;
    void say_parameters(int64_t at, const std::atomic<float>* parameters) noexcept;
    void midi(const MidiEvent& event, int64_t at) noexcept;
    void start_of(const Event& event) noexcept;
    void panic(int64_t at) noexcept;
    void shape(float* const* out, uint32_t n, float gain_db) noexcept;
    bool push_jump() noexcept;

    const double sample_rate_;
    const uint32_t block_size_, channels_;
    const char* const name_;
    Shared shared_;
    Playout playout_;
    SongClock song_;
    uint32_t jumps_ = 0, welcomes_ = 0;
    bool jump_pending_ = false;
    int64_t jump_to_ = 0;
    bool seen_parameters_ = false;
    float sent_[N_INPUTS];
    bool touched_[N_INPUTS] = {};
    Transport transport_;
    bool has_transport_ = false;
    // What a new session is told again: the latest start, the keys that are down, the controllers that moved.
    Event start_;
    bool has_start_ = false;
    uint8_t held_[16][128] = {};
    uint8_t controllers_[16][128];
    float level_ = 1, gain_ = 1; // of the gate and of the gain parameter, as they were at the end of the last block
    bool open_ = true;           // whether the gate is
};

} // namespace descant
