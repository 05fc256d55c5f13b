// A delay line of one bar, opened where the music would end.

#include "hold.h"

#include <algorithm>
#include <cmath>

namespace descant {

namespace {
constexpr float WHOLE = 0.9999f; // of cover; crossfades round to a little less than 1
constexpr double RELEASE_MS = 5, FADE_MS = 5;
} // namespace

Hold::Hold(uint32_t channels, double sample_rate)
    : size_(std::llround(SECONDS * sample_rate)), step_(float(1000 / (RELEASE_MS * sample_rate))), memory_(channels, std::vector<float>(size_t(size_)))
{
}

void Hold::forget() noexcept
{
    kept_ = period_ = 0;
    full_ = false;
}

// A bar if so much was played, else as many beats as were; 0: less than one.
int64_t Hold::period_for(int64_t bar, int64_t beat) const noexcept
{
    if (bar >= 1 && bar <= kept_)
        return bar;
    return beat >= 1 ? std::min(kept_, bar) / beat * beat : 0;
}

void Hold::pass(float* const* wave, const float* cover, uint32_t n, int64_t at, bool wanted, int64_t quiet_from, int64_t bar, int64_t beat) noexcept
{
    const auto fade = int64_t(double(size_) / SECONDS * FADE_MS / 1000);
    for (uint32_t i = 0; i < n; ++i) {
        const bool whole = cover[i] >= WHOLE;
        if (!whole && full_ && period_ == 0 && wanted && quiet_from > at + i + fade) {
            period_ = period_for(bar, beat);
            level_ = 1;
        }
        if (period_ > 0) {
            if (whole || level_ <= 0) {
                period_ = 0;
            } else {
                const float room = level_ * std::max(0.0f, 1 - cover[i]);
                const int64_t from = at_ >= period_ ? at_ - period_ : at_ - period_ + size_;
                for (size_t c = 0; c < memory_.size(); ++c)
                    wave[c][i] += room * memory_[c][size_t(from)];
                if (quiet_from <= at + i)
                    level_ = std::max(0.0f, level_ - step_);
            }
        }
        full_ = whole;
        kept_ = whole || period_ > 0 ? std::min(kept_ + 1, size_) : cover[i] > 0 ? kept_ : 0;
        for (size_t c = 0; c < memory_.size(); ++c)
            memory_[c][size_t(at_)] = wave[c][i];
        at_ = at_ + 1 == size_ ? 0 : at_ + 1;
    }
}

} // namespace descant
