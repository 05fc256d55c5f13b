// A clip is two words, where it begins and where it ends in the input; the network thread sends what lies between.

#include "clips.h"

#include <algorithm>
#include <cmath>

namespace descant {

bool Clips::takes(const MidiEvent& event, uint32_t arm_note) noexcept
{
    const uint8_t kind = event.data[0] & 0xF0;
    if (event.size < 2 || (kind != 0x90 && kind != 0x80) || (kind == 0x90 && event.size < 3) || (event.data[1] & 0x7Fu) + 1 != arm_note)
        return false;
    key_arms_ = kind == 0x90 && (event.data[2] & 0x7F);
    return true;
}

void Clips::record(const float* const* in, uint32_t n, int64_t at, bool known, const Transport& transport, const std::atomic<float>* parameters) noexcept
{
    const int64_t here = shared_.input.written();
    shared_.input.write(in, inputs_, n);
    const bool armed = parameters[ARM].load(std::memory_order_relaxed) >= 0.5f || key_arms_;
    const auto bars = uint32_t(parameters[COUNT_IN].load(std::memory_order_relaxed));
    const auto cut = clock_.advance(armed, known, transport, n, sample_rate_, bars);
    Event event;
    if (cut.end >= 0 && cut.begin < 0) {
        event.kind = Event::CLIP_END;
        event.index = number_;
        event.at_sample = at + cut.end;
        event.amount = double(here + cut.end);
        says_.say(event);
    }
    if (cut.begin >= 0) {
        event.kind = Event::CLIP_BEGIN;
        event.index = ++number_;
        event.at_sample = at + cut.begin;
        event.amount = double(here + cut.begin);
        says_.say(event);
    }
    report_.recording.store(uint32_t(clock_.state()), std::memory_order_relaxed);
}

void Clips::take_last(int64_t at, bool known, const Transport& transport) noexcept
{
    const int64_t end = shared_.input.written();
    int64_t begin = shared_.input.oldest();
    if (known && transport.playing) {
        const double bar = 4.0 * transport.numerator / transport.denominator, per_beat = 60 / transport.tempo * sample_rate_;
        const double passed = transport.beat - std::floor(transport.beat / bar) * bar; // since the last line
        const double bars = std::floor((double(end - begin) / per_beat - passed) / bar);
        if (bars >= 0)
            begin = std::max<int64_t>(begin, end - std::llround((bars * bar + passed) * per_beat));
    }
    Event event;
    event.kind = Event::CLIP_BEGIN;
    event.index = ++number_;
    event.at_sample = at - (end - begin);
    event.amount = double(begin);
    says_.say(event);
    event.kind = Event::CLIP_END;
    event.amount = double(end);
    says_.say(event);
}

} // namespace descant
