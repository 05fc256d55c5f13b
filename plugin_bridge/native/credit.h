// Tells the host where the playhead is and how much it may send: heartbeats live, questions in a bounce.
#pragma once

#include <chrono>
#include <cstdint>

#include "dealer.h"
#include "shared.h"

namespace descant {

// Thread: network, all of it.
class Credit {
public:
    using Clock = std::chrono::steady_clock;

    Credit(Shared& shared, Dealer& dealer) : shared_(shared), dealer_(dealer) {}

    // A session begins: nothing has been told, nothing asked.
    void anew();

    // The credit, when the playhead has moved or a heartbeat is due. A jump is told in its turn among the events, by `jump`.
    void beat(bool for_bounce, uint32_t sample_rate);
    bool jump(int64_t playhead, bool for_bounce) { return tell(playhead, Clock::now(), for_bounce); }

    // A bounce waits for the audio up to there (a SYNC); until it has come the host's clock stands. False: the socket is full.
    bool ask(const Event& event);

    // The host has answered a question: the audio thread hears of it if it is the one that stands.
    void be_answered(uint32_t refers_to);

    uint32_t jumps = 0; // of which the network thread knows

private:
    bool tell(int64_t playhead, Clock::time_point now, bool for_bounce);

    Shared& shared_;
    Dealer& dealer_;
    struct {
        bool open = false;
        uint32_t first = 0; // its first sequence
        Event event;
    } asked_;
    uint32_t free_ = 0; // of a bounce: samples that are read next
    int64_t told_ = 0;
    Clock::time_point told_at_;
    bool has_told_ = false;
};

} // namespace descant
