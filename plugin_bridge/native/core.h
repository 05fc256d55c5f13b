// The audio thread's whole work, block by block, without any plugin format: events and transport out, audio in.
//
// `process` takes no lock, allocates nothing, opens nothing, logs nothing and never waits: it moves plain records
// through the rings of link.h and reads the playout ring. What a full ring does not take is counted in `dropped`,
// save for a jump of the playhead, which is said as soon as there is room, before anything else.
//
// In a bounce (SongTime::offline) it waits: for a session of the bounce's own, for room in a ring, and for all audio of
// the block. Then nothing is dropped and the same song gives the same samples. When no host answers for `patience`
// seconds the bounce has failed: `report.bounce` says so, the rest of it is silence and waits no more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "hold.h"
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
    // inputs: 0, or how many channels of input are recorded and passed on.
    Core(double sample_rate, uint32_t block_size, uint32_t channels, const char* name, uint32_t inputs = 0);

    // Thread: main; not while `process` may run. Open the link and close it; a core can do so again and again.
    void activate();
    void deactivate();

    // Thread: audio. Fill out[c][0..n); parameters: N_INPUTS values in their ranges. in[c][0..n): the input, which may
    // be the same memory; null without one.
    void process(const float* const* in, float* const* out, uint32_t n, const SongTime& song, const MidiEvent* events, uint32_t n_events,
                 const std::atomic<float>* parameters) noexcept;

    double patience; // seconds; DESCANT_PATIENCE, otherwise 30

    Link link;
    Report report;
    std::atomic<uint64_t> underruns{0}, dropped{0};

    // For tests and offline reading: whether the next n samples and the fade after them are there. Thread: audio.
    bool ready(int64_t n) noexcept;
    int64_t playhead() const noexcept { return playout_.playhead; }

private:
    void follow_bounce(bool offline) noexcept;
    void forget_performance() noexcept;
    bool bouncing() const noexcept { return report.bounce.load(std::memory_order_relaxed) == Report::RUNNING; }
    void record(const float* const* in, uint32_t n, int64_t at, const Step& step, const std::atomic<float>* parameters) noexcept;
    void take_last(int64_t at, const Step& step) noexcept;
    void fill(const float* const* in, float* const* out, uint32_t n, const std::atomic<float>* parameters) noexcept;
    void read_live(float* const* out, uint32_t n) noexcept;
    void read_bounced(float* const* out, uint32_t n) noexcept;
    template <class Condition> bool await(Condition come) noexcept;
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
    const uint32_t block_size_, channels_, inputs_;
    const char* const name_;
    Shared shared_;
    Playout playout_;
    SongClock song_;
    bool offline_ = false; // the DAW bounces
    uint32_t asked_ = 0;   // how often a bounce has
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
    uint16_t bends_[16];
    float level_ = 1, gain_ = 1; // of the gate and of the gain parameter, as they were at the end of the last block
    std::vector<std::vector<float>> wet_; // [channels][a part of a block]
    std::vector<float> cover_;            // of a part of a block
    Hold hold_;
    uint32_t plans_ = 0;
    int64_t quiet_from_ = INT64_MAX; // silence is meant from there on
    float dry_ = 0;
    ClipClock clip_clock_;
    uint32_t clips_ = 0;
    uint32_t arm_note_ = 0; // 0: none; n: key n - 1
    bool key_arms_ = false;
    bool open_ = true;           // whether the gate is
};

} // namespace descant
