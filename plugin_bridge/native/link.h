// The network thread: a ZeroMQ DEALER that greets the host, carries events out and audio in, and never gives up.
//
// Who does what, and who may wait
// - audio thread: `Shared` alone: pushes to `events`, takes from `blocks`, writes `place`. Never waits.
// - network thread (ours): the socket; sleeps in poll for a few milliseconds at a time.
// - DAW's main thread: `start`, `stop`, `settings`; may wait for the network thread to end.
//
// When the host falls silent for three heartbeats the link is lost: what has come plays to its end and fades, our
// heartbeats go on. A host that wakes is live again; one that was started anew refuses those heartbeats, and is
// greeted with the old session's number. After each welcome the audio thread says again what the host must know.
//
// A bounce is a session of its own, before and after which there are others: it depends on nothing that was played
// before. In it the audio thread may wait (core.h): it asks with SYNC, and `answered` says that all has come.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "message.h"
#include "recorder.h"
#include "ring.h"
#include "settings.h"

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

// What the two threads share; made before both, gone after both.
struct Shared {
    // input_rate: Hz of the input that is recorded; 0: none.
    Shared(uint32_t channels, int64_t ring_samples, double input_rate);

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
    const int64_t ring_samples;         // past the playhead that are accepted
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

class Link {
public:
    Link(Shared& shared, Report& report, const char* const* parameter_names);
    ~Link() { stop(); }

    // Thread: main. hello: rate, block size, channels; preset and model come from `settings`.
    void start(const Hello& hello);
    void stop();
    bool running() const { return thread_.joinable(); }

    // Thread: main. Of the project; a running link that must greet anew does.
    Settings settings() const;
    void set_settings(const Settings& settings);

    // Thread: any. The seed of the session: a running link greets anew.
    void set_seed(uint64_t seed) { seed_.store(seed, std::memory_order_relaxed); }

    // Thread: any but audio. The latest fault or refusal in words; empty if none.
    std::string words() const;

private:
    void run();
    struct Work;

    Shared& shared_;
    Report& report_;
    const char* const* const names_;
    std::thread thread_;
    std::atomic<bool> stopping_{false};
    std::atomic<uint64_t> seed_{0};
    mutable std::mutex mutex_; // guards what follows; never taken by the audio thread
    Hello hello_;
    Settings settings_;
    uint64_t version_ = 0; // of hello_ and settings_ as far as a session depends on them
    std::string words_;
};

} // namespace descant
