// The last bar again where nothing has come: what is played while the host is gone, if the preset says so.
//
// What was played a period ago is added as far as what comes leaves room, so that the beginning, each round and the
// end are crossfades with the playout ring's own fades. One owner: the audio thread; all memory is allocated at first.
#pragma once

#include <cstdint>
#include <vector>

namespace descant {

class Hold {
public:
    static constexpr double SECONDS = 12; // the longest period

    Hold(uint32_t channels, double sample_rate);

    // Thread: audio. wave[c][0..n) from sample `at` on is about to be played; cover[0..n): how much of it there is,
    // 0..1. wanted: whether it may begin here. quiet_from: silence is meant from this sample on. bar, beat: samples.
    void pass(float* const* wave, const float* cover, uint32_t n, int64_t at, bool wanted, int64_t quiet_from, int64_t bar, int64_t beat) noexcept;

    bool holding() const noexcept { return period_ > 0; }
    void forget() noexcept; // nothing has been played, and nothing is held

private:
    int64_t period_for(int64_t bar, int64_t beat) const noexcept;

    const int64_t size_;
    const float step_; // of the level, a sample
    std::vector<std::vector<float>> memory_;
    int64_t at_ = 0;     // in memory, modulo its size
    int64_t kept_ = 0;   // samples played in a row without a gap, at most size_
    int64_t period_ = 0; // 0: nothing is held
    float level_ = 1;
    bool full_ = false;  // whether the last sample was all there
};

} // namespace descant
