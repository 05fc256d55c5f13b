// Bar lines from a block's transport, and a ring that two threads may look at.

#include "recorder.h"

#include <algorithm>
#include <cmath>

namespace descant {

InputRing::InputRing(double sample_rate)
    : kept_(std::llround(SECONDS * sample_rate)), size_(std::llround((SECONDS + MARGIN_S) * sample_rate)), samples_(size_t(size_))
{
}

void InputRing::write(const float* const* in, uint32_t channels, uint32_t n) noexcept
{
    if (size_ == 0)
        return;
    int64_t at = written_.load(std::memory_order_relaxed);
    for (uint32_t i = 0; i < n; ++i, ++at) {
        float sum = 0;
        for (uint32_t c = 0; c < channels; ++c)
            sum += in[c][i];
        sum /= float(channels);
        samples_[size_t(at % size_)].store(std::isfinite(sum) ? std::clamp(sum, -4.0f, 4.0f) : 0.0f, std::memory_order_release);
        if ((i & 1023) == 1023)
            written_.store(at + 1, std::memory_order_release);
    }
    written_.store(at, std::memory_order_release);
}

int64_t InputRing::oldest() const noexcept { return std::max<int64_t>(0, written() - kept_); }

bool InputRing::read(int64_t from, float* to, uint32_t n) const noexcept
{
    if (from < 0 || from + n > written())
        return false;
    for (uint32_t i = 0; i < n; ++i)
        to[i] = samples_[size_t((from + i) % size_)].load(std::memory_order_acquire); // whoever sees a new one sees `written`, too
    return from + size_ - 16384 > written(); // nobody has begun to write over it
}

int64_t samples_to_bar(const Transport& transport, double sample_rate) noexcept
{
    const double bar = 4.0 * transport.numerator / transport.denominator, per_beat = 60 / transport.tempo * sample_rate;
    const double near = 0.5 / per_beat; // half a sample
    const double line = std::ceil((transport.beat - near) / bar) * bar;
    return std::max<int64_t>(0, std::llround((line - transport.beat) * per_beat));
}

ClipClock::Cut ClipClock::advance(bool armed, bool known, const Transport& transport, uint32_t n, double sample_rate, uint32_t bars_before) noexcept
{
    Cut cut;
    const bool bars = known && transport.playing;
    if (state_ == IDLE && armed) {
        state_ = ARMED;
        left_ = bars_before;
    }
    if (state_ == ARMED && !armed)
        state_ = IDLE;
    int64_t at = bars ? samples_to_bar(transport, sample_rate) : 0;
    const int64_t bar = std::max<int64_t>(1, std::llround(4.0 * transport.numerator / transport.denominator * 60 / transport.tempo * sample_rate));
    if (state_ == ARMED && (bars || !known)) {
        for (; bars && left_ > 0 && at < int64_t(n); at += bar)
            --left_;
        if (left_ == 0 || !bars) {
            if (at < int64_t(n)) {
                cut.begin = at;
                on_bars_ = bars;
                state_ = RECORDING;
                at += bar;
            }
        }
    }
    const bool stopped = on_bars_ && !bars; // the song has ended under it
    if (state_ == RECORDING && (!armed || stopped)) {
        const int64_t end = on_bars_ && !stopped ? at : 0;
        if (end < int64_t(n)) {
            cut.end = end;
            state_ = IDLE;
        }
    }
    return cut;
}

} // namespace descant
