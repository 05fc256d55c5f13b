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
// before. In it the audio thread may wait (bounce.h): it asks with SYNC, and `answered` says that all has come.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "session.h"

namespace descant {

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
    void set_seed(uint64_t seed) { wishes_.seed.store(seed, std::memory_order_relaxed); }

    // Thread: any but audio. The latest fault or refusal in words; empty if none.
    std::string words() const;

private:
    void run();

    Shared& shared_;
    Report& report_;
    const char* const* const names_;
    std::thread thread_;
    std::atomic<bool> stopping_{false};
    Wishes wishes_;
};

} // namespace descant
