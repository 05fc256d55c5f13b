// Sends the melody clip that the audio thread has begun, piece after piece, as it is recorded; a new session hears it whole.
#pragma once

#include <cstdint>
#include <vector>

#include "dealer.h"
#include "shared.h"

namespace descant {

// Thread: network, all of it.
class ClipSender {
public:
    ClipSender(Shared& shared, Report& report, Dealer& dealer) : shared_(shared), report_(report), dealer_(dealer) {}

    // Of the audio thread: CLIP_BEGIN or CLIP_END.
    void follow(const Event& event);

    // A new session: from the clip's start.
    void anew();

    // What has been recorded, as far as the socket takes it; the last piece closes the clip.
    void send(uint32_t sample_rate);

    bool open() const { return open_; }

private:
    Shared& shared_;
    Report& report_;
    Dealer& dealer_;
    bool open_ = false;
    uint32_t number_ = 0, index_ = 0; // of the clip, and of its next piece
    int64_t at_sample_ = 0;
    int64_t begin_ = 0, next_ = 0, end_ = -1; // in the input; end: -1 while it is being recorded
    std::vector<float> piece_;
};

} // namespace descant
