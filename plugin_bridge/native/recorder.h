// The last minute of the input, and the melody clips cut out of it: when they begin and end, bar-exact.
//
// The audio thread writes the ring and decides about clips; the network thread reads what is behind `written`. The
// ring is longer than the minute by what may be written while the other reads. No locks, no memory after construction.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "song.h"

namespace descant {

// Mono. Positions count the samples recorded since the plugin was activated.
class InputRing {
public:
    static constexpr double SECONDS = 60, MARGIN_S = 4;

    explicit InputRing(double sample_rate); // 0: nothing is kept

    // Thread: audio. The mean of the channels; numbers that are none become 0.
    void write(const float* const* in, uint32_t channels, uint32_t n) noexcept;

    int64_t written() const noexcept { return written_.load(std::memory_order_acquire); }
    int64_t oldest() const noexcept; // the first sample of the last minute
    // Thread: network. Copy n samples from a position on; false if they are gone by now.
    bool read(int64_t from, float* to, uint32_t n) const noexcept;

private:
    const int64_t kept_, size_;
    std::vector<std::atomic<float>> samples_;
    std::atomic<int64_t> written_{0};
};

// Samples from a place in the song to the next line of a bar at or after it; less than none if bars are not known.
int64_t samples_to_bar(const Transport& transport, double sample_rate) noexcept;

// Decides, block by block, where a clip begins and ends. Offsets are samples from the block's start; -1: not here.
class ClipClock {
public:
    enum State : uint32_t { IDLE, ARMED, RECORDING };
    struct Cut {
        int64_t begin = -1, end = -1;
    };

    // Thread: audio. armed: as of this block's first sample. known: whether the transport is; bars_before: whole bars
    // counted in after the next line.
    Cut advance(bool armed, bool known, const Transport& transport, uint32_t n, double sample_rate, uint32_t bars_before) noexcept;

    State state() const noexcept { return state_; }

private:
    State state_ = IDLE;
    bool on_bars_ = false; // the clip began on a line, so it ends on one
    uint32_t left_ = 0;    // lines to pass before it begins
};

} // namespace descant
