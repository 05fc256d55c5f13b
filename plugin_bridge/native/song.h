// The DAW's transport, block by block, turned into places on the wire's timeline. Pure: no clock, no thread, no memory.
//
// While the DAW plays, the timeline is the DAW's own sample count, so that the same bar has the same address each
// time it is played. While it is stopped the timeline runs on by itself: pads still sound. What moves it elsewhere
// (start, rewind, a leap) is a *jump*; the wrap of a loop is none, because the host knows the loop and folds its
// beats there: the timeline runs straight on. A loop the DAW does not tell is learnt when it first wraps.
// Knows nothing about audio or messages.
#pragma once

#include <cstdint>

namespace descant {

// What the DAW says of a block's first sample.
struct SongTime {
    bool known = false;   // it says anything at all
    bool offline = false; // the DAW bounces: what it asks for is awaited
    bool playing = false;
    bool has_frame = false;
    int64_t frame = 0;    // samples from the song's start; negative in a pre-roll
    bool has_beat = false;
    double beat = 0;      // quarter notes from the song's start
    double grain = 0;     // quarter notes by which `beat` may be off: a DAW that counts whole ticks
    double tempo = 120;   // quarter notes a minute
    uint32_t numerator = 4, denominator = 4;
    bool tells_loop = false; // whether the next three are what the DAW says, or it says nothing of loops
    bool looping = false;
    double loop_start = 0, loop_end = 0; // quarter notes
};

// As the wire's `transport`.
struct Transport {
    double tempo = 120, beat = 0;
    uint8_t numerator = 4, denominator = 4;
    bool playing = false;
    double loop_start = 0, loop_end = 0;
    bool looping = false;
};

struct Step {
    bool jumps = false;   // the timeline goes on at `to`
    int64_t to = 0;
    bool changed = false; // `transport` says something new
    bool stopped = false; // the DAW has just been stopped
    bool started = false;
    bool known = false;   // `transport` holds
    Transport transport;
};

class SongClock {
public:
    explicit SongClock(double sample_rate) : rate_(sample_rate) {}

    // Thread: audio. The block of n samples that begins at timeline sample `at`, where the DAW says `song`.
    Step advance(int64_t at, int64_t n, const SongTime& song) noexcept;

    void forget() noexcept { *this = SongClock(rate_); } // as at first

private:
    struct Loop {
        bool on = false;
        double start = 0, end = 0;
    };

    bool continues(const SongTime& song) const noexcept;
    void learn(const SongTime& song) noexcept;
    double beat_at(int64_t at) const noexcept;

    double rate_;
    bool known_ = false, playing_ = false;
    SongTime last_;          // of the block before
    int64_t last_n_ = 0;
    Loop loop_;              // told or learnt
    bool learnt_ = false;
    Transport said_;         // the transport that holds for the host, from timeline sample said_at_ on
    int64_t said_at_ = 0;
    bool has_said_ = false;
};

} // namespace descant
