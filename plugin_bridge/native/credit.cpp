// A live host is told every 10 ms of audio, and at least as often as a heartbeat is due.

#include "credit.h"

namespace descant {

namespace {
using std::chrono::milliseconds;

constexpr auto REPORT_AFTER = milliseconds(10); // of audio
constexpr auto BEAT = milliseconds(DESCANT_HEARTBEAT_MS);
} // namespace

void Credit::anew()
{
    has_told_ = false;
    free_ = 0;
    asked_.open = false;
}

void Credit::beat(bool for_bounce, uint32_t sample_rate)
{
    const Place place = Place::unpack(shared_.place.load(std::memory_order_acquire));
    if (place.jumps != (jumps & 0xFFFF))
        return;
    const auto now = Clock::now();
    if (for_bounce) { // the host's clock is what was asked for, nothing else
        if (has_told_ && now - told_at_ < BEAT)
            return;
        if (asked_.open) // to a host at work the question is the sign of life
            ask(asked_.event);
        else
            tell(has_told_ ? told_ : place.playhead, now, true);
        return;
    }
    const int64_t moved = place.playhead - told_;
    const bool far = moved < 0 || moved * 1000 >= REPORT_AFTER.count() * int64_t(sample_rate);
    if (!has_told_ || far || now - told_at_ >= BEAT)
        tell(place.playhead, now, false);
}

bool Credit::ask(const Event& event)
{
    const int64_t until = event.at_sample + int64_t(event.amount);
    const auto free = uint32_t(event.amount);
    const uint32_t first = asked_.open ? asked_.first : dealer_.sequence;
    if (!dealer_.post(pack_sync(event.at_sample, free, until, dealer_.session, dealer_.sequence)))
        return false;
    asked_ = {true, first, event};
    told_ = event.at_sample;
    told_at_ = Clock::now();
    has_told_ = true;
    free_ = free;
    return true;
}

void Credit::be_answered(uint32_t refers_to)
{
    if (!asked_.open || refers_to - asked_.first >= dealer_.sequence - asked_.first)
        return;
    asked_.open = false;
    shared_.answered.store(asked_.event.index, std::memory_order_release);
}

bool Credit::tell(int64_t playhead, Clock::time_point now, bool for_bounce)
{
    const uint32_t free = for_bounce ? free_ : uint32_t(shared_.ring_samples);
    if (!dealer_.post(pack_heartbeat(playhead, free, jumps, dealer_.session, dealer_.sequence)))
        return false;
    told_ = playhead;
    told_at_ = now;
    has_told_ = true;
    return true;
}

} // namespace descant
