// Two layers, `new` and `old`, and a raised cosine wherever sound begins, ends or is cut.

#include "playout.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace descant {

namespace {
constexpr double FADE_MS = 5.0;
constexpr int64_t READ = 4096; // at most, at a time
constexpr int64_t MIX = 1024;  // samples rendered at a time when an epoch begins

int64_t fade_length(double sample_rate)
{
    return std::max<int64_t>(1, std::llrint(sample_rate * FADE_MS / 1000)); // to even, as Python rounds
}

std::vector<float*> pointers(std::vector<std::vector<float>>& channels)
{
    std::vector<float*> out;
    for (auto& channel : channels)
        out.push_back(channel.data());
    return out;
}
} // namespace

Playout::Playout(uint32_t n_channels, double sample_rate, int64_t n_capacity)
    : channels(n_channels), capacity(n_capacity), fade(fade_length(sample_rate)), n_slots_(n_capacity + fade), all_(n_channels + 1),
      new_(all_, std::vector<float>(n_slots_)), old_(new_), tail_(all_, std::vector<float>(fade)),
      mix_(all_, std::vector<float>(MIX)), placed_(n_slots_), covered_(n_slots_), unread_(READ), out_pointers_(all_), gains_(fade + 2),
      fade_in_(fade), fade_out_(fade), mix_pointers_(pointers(mix_)), tail_pointers_(pointers(tail_))
{
    const double step = 1.57079632679489661923 / double(fade);
    for (int64_t i = 0; i <= fade; ++i) {
        const double sine = std::sin(double(i) * step), cosine = std::cos(double(i) * step);
        gains_[i + 1] = float(sine * sine);
        if (i < fade) {
            fade_in_[i] = float(sine * sine);
            fade_out_[i] = float(cosine * cosine);
        }
    }
}

int64_t Playout::slot(int64_t position) const noexcept
{
    const int64_t at = position % n_slots_;
    return at < 0 ? at + n_slots_ : at;
}

int64_t Playout::place(int64_t at_sample, int64_t new_epoch, const float* wave, uint32_t wave_channels, int64_t n, int64_t stride) noexcept
{
    if (new_epoch < epoch) {
        stale += n;
        return 0;
    }
    const int64_t window_end = playhead + capacity;
    const int64_t low = std::max(at_sample, playhead), high = std::min(at_sample + n, window_end);
    late += std::min(n, std::max<int64_t>(0, playhead - at_sample));
    far += std::min(n, std::max<int64_t>(0, at_sample + n - window_end));
    if (high <= low)
        return 0;
    if (new_epoch > epoch) {
        begin_epoch(low);
        epoch = new_epoch;
    } else if (low < cut_) {
        lower_cut(low);
    }
    for (int64_t done = low; done < high;) {
        const int64_t at = slot(done), length = std::min(high - done, n_slots_ - at);
        for (uint32_t c = 0; c < channels; ++c) {
            const float* from = wave + (wave_channels == 1 ? 0 : c) * stride + (done - at_sample);
            std::memcpy(&new_[c][at], from, length * sizeof(float));
        }
        std::fill_n(&new_[channels][at], length, 1.0f);
        std::memset(&placed_[at], 1, length);
        std::memset(&covered_[at], 1, length);
        done += length;
    }
    return high - low;
}

int64_t Playout::read(float* const* out, int64_t n, float* cover) noexcept
{
    int64_t covered = 0;
    for (int64_t done = 0; done < n;) {
        const int64_t step = std::min(n - done, std::min(READ, capacity));
        for (uint32_t c = 0; c < channels; ++c)
            out_pointers_[c] = out[c] + done;
        out_pointers_[channels] = cover ? cover + done : unread_.data();
        r_ = render(playhead, out_pointers_.data(), 0, step, r_);
        for (int64_t i = 0, at = slot(playhead); i < step; ++i, ++at) {
            const bool here = covered_[at == n_slots_ ? (at = 0) : at];
            covered += here;
            underruns += sounding_ && !here;
            sounding_ = here;
        }
        clear(playhead, step);
        playhead += step;
        done += step;
    }
    return covered;
}

void Playout::seek(int64_t at_sample) noexcept
{
    const int64_t shift = at_sample - playhead;
    if (shift == 0)
        return;
    render(playhead, tail_pointers_.data(), 0, fade, r_);
    clear(playhead, shift < 0 ? n_slots_ : std::min(shift, n_slots_));
    playhead = at_sample;
    old_end_ = shift < 0 ? at_sample + fade : std::max(old_end_, at_sample + fade);
    for (int64_t i = 0; i < fade; ++i) {
        const int64_t at = slot(at_sample + i);
        for (uint32_t c = 0; c < all_; ++c) {
            const float tail = tail_[c][i] * fade_out_[i];
            const float old = old_[c][at] * fade_in_[i];
            old_[c][at] = old + tail;
        }
    }
    r_ = -1;
    sounding_ = false;
}

void Playout::empty(int64_t at_sample) noexcept
{
    clear(playhead, n_slots_);
    playhead = at_sample;
    epoch = NEVER;
    cut_ = old_end_ = at_sample;
    r_ = -1;
    sounding_ = false;
}

int64_t Playout::ahead(int64_t limit) const noexcept
{
    limit = std::min(limit, capacity);
    for (int64_t done = 0; done < limit;) {
        const int64_t at = slot(playhead + done), length = std::min(limit - done, n_slots_ - at);
        if (const void* hit = std::memchr(&covered_[at], 0, length))
            return done + (static_cast<const uint8_t*>(hit) - &covered_[at]);
        done += length;
    }
    return limit;
}

// The first position from `from` on where nothing is placed; at most limit. Nothing lies past the ring's end.
int64_t Playout::next_missing(int64_t from, int64_t limit) const noexcept
{
    limit = std::min(limit, playhead + n_slots_);
    while (from < limit) {
        const int64_t at = slot(from), length = std::min(limit - from, n_slots_ - at);
        const void* hit = std::memchr(&placed_[at], 0, length);
        if (hit)
            return from + (static_cast<const uint8_t*>(hit) - &placed_[at]);
        from += length;
    }
    return from;
}

// What is heard from start on, into out[c][out_offset...), r before it; the last r. Per sample r rises by at most
// 1, is at most the distance to the next missing sample, and is -1 where one is missing.
int64_t Playout::render(int64_t start, float* const* out, int64_t out_offset, int64_t n, int64_t r) noexcept
{
    const int64_t end = start + n;
    int64_t missing = next_missing(start, end + fade);
    for (int64_t p = start; p < end;) {
        if (missing < p)
            missing = next_missing(p, end + fade);
        const int64_t at = slot(p);
        int64_t length = std::min(end - p, n_slots_ - at);
        float* const* to = out;
        const int64_t o = out_offset + (p - start);
        if (r == fade && missing - p >= fade) { // steady
            length = std::min(length, missing - fade + 1 - p);
            for (uint32_t c = 0; c < all_; ++c)
                std::memcpy(to[c] + o, &new_[c][at], length * sizeof(float));
        } else {
            length = 1;
            r = missing == p ? -1 : std::min(r + 1, std::min(missing - p, fade));
            for (uint32_t c = 0; c < all_; ++c)
                to[c][o] = new_[c][at] * gains_[r + 1];
        }
        const int64_t more = std::min(length, old_end_ - p);
        for (uint32_t c = 0; more > 0 && c < all_; ++c)
            for (int64_t i = 0; i < more; ++i)
                to[c][o + i] += old_[c][at + i];
        p += length;
    }
    return r;
}

void Playout::clear(int64_t position, int64_t n) noexcept
{
    for (int64_t end = position + n; position < end;) {
        const int64_t at = slot(position), length = std::min(end - position, n_slots_ - at);
        for (uint32_t c = 0; c < all_; ++c)
            std::memset(&old_[c][at], 0, length * sizeof(float));
        std::memset(&placed_[at], 0, length);
        std::memset(&covered_[at], 0, length);
        position += length;
    }
}

// Render what would be heard up to the end of a fade-out at the cut into `old`; empty `new`.
void Playout::begin_epoch(int64_t cut) noexcept
{
    const int64_t end = cut + fade;
    int64_t r = r_;
    for (int64_t position = playhead; position < end;) {
        const int64_t step = std::min(MIX, end - position);
        r = render(position, mix_pointers_.data(), 0, step, r);
        for (int64_t done = 0; done < step;) {
            const int64_t at = slot(position + done), length = std::min(step - done, n_slots_ - at);
            for (uint32_t c = 0; c < all_; ++c)
                std::memcpy(&old_[c][at], &mix_[c][done], length * sizeof(float));
            done += length;
        }
        position += step;
    }
    const int64_t old_end = old_end_;
    old_end_ = end;
    fade_old(cut, old_end);
    std::memset(placed_.data(), 0, placed_.size());
    uncover(cut, playhead + n_slots_);
    cut_ = cut;
    if (cut == playhead)
        r_ = -1;
}

// Let `old` end earlier, at a cut that a late block of the newest epoch has moved down.
void Playout::lower_cut(int64_t cut) noexcept
{
    const int64_t old_end = old_end_;
    old_end_ = std::min(old_end_, cut + fade);
    fade_old(cut, old_end);
    uncover(cut, cut_);
    cut_ = cut;
}

// Fade `old` out from the cut on; it is zero after that, up to where it used to end.
void Playout::fade_old(int64_t cut, int64_t old_end) noexcept
{
    for (int64_t i = 0; i < fade; ++i)
        for (uint32_t c = 0; c < all_; ++c)
            old_[c][slot(cut + i)] *= fade_out_[i];
    for (int64_t position = old_end_; position < old_end;) {
        const int64_t at = slot(position), length = std::min(old_end - position, n_slots_ - at);
        for (uint32_t c = 0; c < all_; ++c)
            std::memset(&old_[c][at], 0, length * sizeof(float));
        position += length;
    }
}

void Playout::uncover(int64_t low, int64_t high) noexcept
{
    while (low < high) {
        const int64_t at = slot(low), length = std::min(high - low, n_slots_ - at);
        std::memset(&covered_[at], 0, length);
        low += length;
    }
}

} // namespace descant
