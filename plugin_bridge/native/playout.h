// The addressed playout ring: the contract is that of plugin_bridge/playout.py, sample for sample.
//
// One owner: every method is called from the audio thread. All memory is allocated in the constructor. Audio is
// placed at sample positions and read at the playhead; a newer epoch cuts, equal gain; short reads fade out over
// 5 ms, fade in again and are counted as underruns; `seek` moves the playhead with a fade.
#pragma once

#include <cstdint>
#include <vector>

namespace descant {

class Playout {
public:
    static constexpr int64_t NEVER = -1;

    // channels: C. sample_rate: Hz. capacity: samples past the playhead it takes, at least 1.
    Playout(uint32_t channels, double sample_rate, int64_t capacity);

    // Put a block (planar, `stride` floats from channel to channel; a single channel goes to all) at its address;
    // how many of its samples were taken.
    int64_t place(int64_t at_sample, int64_t epoch, const float* wave, uint32_t wave_channels, int64_t n, int64_t stride) noexcept;

    // Fill out[c][0..n) from the playhead on; how many samples were covered. cover[0..n), if it is wanted: the sum of
    // the fades in what is heard: 1 where sound is all there, 0 where there is none.
    int64_t read(float* const* out, int64_t n, float* cover = nullptr) noexcept;

    void seek(int64_t at_sample) noexcept;
    void empty(int64_t at_sample) noexcept; // silence from here on, as at first: no fade
    void forget_epochs() noexcept { epoch = NEVER; }

    // Samples from the playhead to the first one that is missing; at most limit.
    int64_t ahead(int64_t limit) const noexcept;

    const uint32_t channels;
    const int64_t capacity;
    const int64_t fade;
    int64_t playhead = 0;
    int64_t epoch = NEVER;
    uint64_t underruns = 0, late = 0, far = 0, stale = 0;

private:
    int64_t slot(int64_t position) const noexcept;
    int64_t next_missing(int64_t from, int64_t limit) const noexcept;
    int64_t render(int64_t start, float* const* out, int64_t out_offset, int64_t n, int64_t r) noexcept;
    void clear(int64_t position, int64_t n) noexcept;
    void begin_epoch(int64_t cut) noexcept;
    void lower_cut(int64_t cut) noexcept;
    void fade_old(int64_t cut, int64_t old_end) noexcept;
    void uncover(int64_t low, int64_t high) noexcept;

    const int64_t n_slots_;
    // A channel more than there are: it is full of ones, so what the fades leave of it is the cover.
    const uint32_t all_;
    std::vector<std::vector<float>> new_, old_, tail_, mix_;
    std::vector<uint8_t> placed_, covered_;
    std::vector<float> unread_; // the cover where nobody wants it
    std::vector<float*> out_pointers_;
    std::vector<float> gains_, fade_in_, fade_out_; // gains_[r + 1]
    std::vector<float*> mix_pointers_, tail_pointers_;
    int64_t cut_ = 0;     // where the newest epoch begins
    int64_t old_end_ = 0; // `old` is zero from here on
    int64_t r_ = -1;      // fade count of the last sample read
    bool sounding_ = false;
};

} // namespace descant
