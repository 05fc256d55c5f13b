// The conversation with one host after another: greeting, what is said and taken in, what becomes of it; see link.h.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "clip_sender.h"
#include "credit.h"
#include "dealer.h"
#include "settings.h"
#include "shared.h"

namespace descant {

// What the main thread wants of the network thread, and the words it gets back. `mutex` guards all but the seed; the
// audio thread never takes it.
struct Wishes {
    mutable std::mutex mutex;
    Hello hello;
    Settings settings;
    uint64_t version = 0; // of hello and settings as far as a session depends on them
    std::string words;    // the latest fault or refusal; empty if none
    std::atomic<uint64_t> seed{0};
};

// Thread: network, all of it.
class Session {
public:
    Session(Shared& shared, Report& report, Wishes& wishes, const char* const* parameter_names)
        : shared_(shared), report_(report), wishes_(wishes), names_(parameter_names), clips_(shared, report, dealer_), credit_(shared, dealer_)
    {
    }

    // What there is to do, and a few milliseconds of sleep. ZeroMQ's exceptions leave it.
    void turn();

    // Say goodbye and close.
    void leave();

private:
    using Clock = std::chrono::steady_clock;

    bool live() const { return state() == LinkState::LIVE || state() == LinkState::OTHER_MODEL; }
    LinkState state() const { return LinkState(report_.state.load(std::memory_order_relaxed)); }
    void set(LinkState now) { report_.state.store(uint32_t(now), std::memory_order_relaxed); }
    bool in_session() const { return live() && !to_greet_; }
    bool post(const Parts& parts) { return dealer_.post(parts); }

    // outward
    void refresh();
    void open();
    void greet();
    void drain(bool over = false);
    bool tell_keys();
    bool say(const Event& event);
    void beat();
    void wait();

    // inward
    bool receive();
    void take(const Received& message);
    void queue(const Received& message);
    void enter(const Received& message);
    void be_refused(const Received& message);
    void lose();
    void note(const Received& message);

    Shared& shared_;
    Report& report_;
    Wishes& wishes_;
    const char* const* const names_;
    Dealer dealer_;
    ClipSender clips_;
    Credit credit_;
    Address address_;
    Hello hello_;
    Settings settings_;
    uint64_t version_ = ~uint64_t(0);
    uint32_t hello_sequence_ = 0;
    uint32_t which_ = 0; // turn of the DAW's
    bool for_bounce_ = false, told_failure_ = false;
    bool to_greet_ = true, said_hello_ = false, awaiting_ = false, welcomed_ = false;
    LinkState live_state_ = LinkState::LIVE;
    Clock::time_point heard_, greeted_, looked_;
    std::vector<std::string> presets_;
    std::map<uint8_t, std::string> keys_, news_; // words of keys: those that hold, and what the session must be told
};

} // namespace descant
