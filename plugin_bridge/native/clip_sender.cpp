// A piece is as long as the wire allows, save for the last one.

#include "clip_sender.h"

#include <algorithm>

namespace descant {

void ClipSender::follow(const Event& event)
{
    if (event.kind == Event::CLIP_BEGIN) {
        open_ = true;
        number_ = event.index;
        index_ = 0;
        at_sample_ = event.at_sample;
        begin_ = next_ = int64_t(event.amount);
        end_ = -1;
    } else if (open_ && number_ == event.index) {
        end_ = int64_t(event.amount);
    }
    report_.clip = Report::SENDING;
}

void ClipSender::anew()
{
    next_ = begin_;
    index_ = 0;
}

void ClipSender::send(uint32_t sample_rate)
{
    while (open_) {
        const int64_t there = end_ < 0 ? shared_.input.written() : end_;
        const auto n = uint32_t(std::clamp<int64_t>(there - next_, 0, DESCANT_MAX_BLOCK_SAMPLES));
        const bool last = end_ >= 0 && next_ + n >= end_;
        if (!last && n < DESCANT_MAX_BLOCK_SAMPLES)
            return;
        piece_.resize(DESCANT_MAX_BLOCK_SAMPLES);
        if (n == 0 || !shared_.input.read(next_, piece_.data(), n)) {
            open_ = false; // no host for more than a minute, or a clip of nothing
            report_.clip = Report::REFUSED;
            return;
        }
        if (!dealer_.post(pack_capture(number_, sample_rate, index_, last, piece_.data(), n, at_sample_, dealer_.session, dealer_.sequence)))
            return;
        next_ += n;
        ++index_;
        if (last)
            open_ = false;
    }
}

} // namespace descant
