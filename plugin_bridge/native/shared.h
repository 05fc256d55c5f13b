// What the audio thread and the network thread share, and what both tell of themselves; atomics and rings, no locks.
#pragma once

#include <atomic>
#include <cstdint>

#include "message.h"
#include "recorder.h"
#include "ring.h"

namespace descant {

enum class LinkState : uint32_t { OFF, LOOKING, LIVE, LOST, REFUSED, OTHER_VERSION, OTHER_MODEL };

// The playhead and how often it was moved, in one word that is read and written whole.
struct Place {
    int64_t playhead = 0;
    uint32_t jumps = 0; // modulo 65536

    static uint64_t pack(int64_t playhead, uint32_t jumps) noexcept
    {
        return uint64_t(playhead) << 16 | (jumps & 0xFFFF);
    }
    static Place unpack(uint64_t word) noexcept { return {int64_t(word) >> 16, uint32_t(word & 0xFFFF)}; }
};

// Made before both threads, gone after both. channels: of the audio. ring_samples: past the playhead that are accepted.
struct Shared {
    // input_rate: Hz of the input that is recorded; 0: none.
    Shared(uint32_t n_channels, int64_t n_ring, double input_rate)
        : events(4096), blocks(size_t(n_channels) * size_t(2 * n_ring + 2 * DESCANT_MAX_BLOCK_SAMPLES), 1024), input(input_rate), channels(n_channels),
          ring_samples(n_ring)
    {
    }

    Ring<Event> events;                 // audio -> network
    BlockRing blocks;                   // network -> audio
    InputRing input;                    // audio -> network
    std::atomic<uint64_t> place{0};     // audio writes
    std::atomic<uint32_t> welcomes{0};  // network writes: counts sessions
    std::atomic<uint32_t> turns{0};     // audio writes: how often a bounce has begun or ended; odd: it bounces
    std::atomic<uint32_t> turned{0};    // network writes: the turn of which the session is
    std::atomic<uint32_t> answered{0};  // network writes: the latest SYNC of which all audio is in `blocks`
    std::atomic<bool> hold{false};      // network writes: what the preset wants while the host is gone
    std::atomic<int64_t> quiet_from{INT64_MAX}; // network writes: silence is announced from there on
    std::atomic<uint32_t> plans{0};     // network writes, after `quiet_from`: counts them
    const uint32_t channels;
    const int64_t ring_samples;
};

// What the link knows of itself and its host; any thread may read.
struct Report {
    std::atomic<uint32_t> state{uint32_t(LinkState::OFF)};
    std::atomic<float> lead_ms{0}, load{0}, control_delay_ms{0};
    enum Capture : uint32_t { IDLE, ARMED, RECORDING, SENDING, TAKEN, REFUSED };
    std::atomic<uint32_t> recording{IDLE}; // the audio thread writes: IDLE, ARMED, RECORDING
    std::atomic<uint32_t> clip{IDLE};      // the network thread writes: IDLE, SENDING, TAKEN, REFUSED
    enum Bounce : uint32_t { NONE, RUNNING, FAILED };
    std::atomic<uint32_t> bounce{NONE}; // the audio thread writes
    std::atomic<uint32_t> losses{0}, reconnects{0}, malformed{0}, overruns{0}, unsent{0}, faults{0}, blocks{0};
};

} // namespace descant
