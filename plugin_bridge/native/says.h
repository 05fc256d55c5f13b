// What the audio thread tells the host: events in their order, and to a new session what it must know of before.
//
// What a full ring does not take is counted in `dropped`, save for a jump of the playhead, which is said as soon as
// there is room, before anything else. In a bounce nothing is dropped: it waits.
#pragma once

#include <atomic>
#include <cstdint>

#include "bounce.h"
#include "link.h"
#include "parameters.h"

namespace descant {

struct MidiEvent {
    uint32_t offset; // samples from the block's start
    uint32_t size;
    uint8_t data[3];
};

// Thread: audio, all of it.
class Says {
public:
    Says(Shared& shared, Bounce& bounce, Link& link, std::atomic<uint64_t>& dropped);

    void say(Event event) noexcept;
    void midi(const MidiEvent& event, int64_t at) noexcept;

    // The parameters that have moved; true if the last minute is asked for.
    bool parameters(int64_t at, const std::atomic<float>* parameters) noexcept;

    // The playhead has leapt: the host must hear of it.
    void jump(int64_t to) noexcept;
    uint32_t jumps() const noexcept { return jumps_; } // modulo 65536
    bool push_jump() noexcept;                         // whether nothing of the kind waits
    bool push(const Event& event) noexcept { return push_jump() && shared_.events.push(event); }

    // A session has begun: parameters that were moved, controllers, keys, the latest start.
    void again(int64_t at) noexcept;

    // What was played is forgotten; what differs from its default is told, as of a project that was just opened.
    void forget() noexcept;

    // Whether silence was asked for since this was asked last.
    bool took_panic() noexcept;

    bool open = true; // whether there is to be sound: what starts something opens, panic and the DAW's stop close

private:
    void start_of(const Event& event) noexcept;
    void panic(int64_t at) noexcept;

    Shared& shared_;
    Bounce& bounce_;
    Link& link_;
    std::atomic<uint64_t>& dropped_;
    uint32_t jumps_ = 0;
    bool jump_pending_ = false;
    int64_t jump_to_ = 0;
    bool seen_parameters_ = false, panicked_ = false;
    float sent_[N_INPUTS];
    bool touched_[N_INPUTS] = {};
    // What a new session is told again: the latest start, the keys that are down, the controllers that moved.
    Event start_;
    bool has_start_ = false;
    uint8_t held_[16][128] = {};
    uint8_t controllers_[16][128];
    uint16_t bends_[16];
};

} // namespace descant
