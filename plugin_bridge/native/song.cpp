// What follows, what leaps and what loops; numbers no host could follow are replaced first.

#include "song.h"

#include <algorithm>
#include <cmath>

namespace descant {

namespace {
constexpr double LOWEST_TEMPO = 1, HIGHEST_TEMPO = 999; // what a host follows
constexpr double BEAT_LIMIT = 1e7;
constexpr int64_t FRAME_JITTER = 2; // some DAWs count their samples in seconds
constexpr double SHORTEST_LOOP = 1.0 / 16;

double sane(double value, double low, double high, double otherwise)
{
    return std::isfinite(value) ? std::clamp(value, low, high) : otherwise;
}

uint8_t metre_denominator(uint32_t denominator)
{
    return denominator >= 1 && denominator <= 32 && (denominator & (denominator - 1)) == 0 ? uint8_t(denominator) : 4;
}
} // namespace

Step SongClock::advance(int64_t at, int64_t n, const SongTime& told) noexcept
{
    SongTime song = told;
    Step step;
    if (!song.known) {
        if (known_ && playing_) {
            step.stopped = step.changed = step.known = true;
            step.transport = said_;
            step.transport.playing = false;
        }
        known_ = playing_ = false;
        has_said_ = false;
        return step;
    }
    song.tempo = sane(song.tempo, LOWEST_TEMPO, HIGHEST_TEMPO, 120);
    if (song.tempo == LOWEST_TEMPO && told.tempo <= 0)
        song.tempo = 120; // 0 is what a DAW says that has none
    if (!std::isfinite(song.beat) || std::abs(song.beat) > BEAT_LIMIT)
        song.has_beat = false;
    song.numerator = song.numerator >= 1 && song.numerator <= 64 ? song.numerator : 4;
    song.denominator = metre_denominator(song.denominator);
    if (!song.has_beat)
        song.beat = song.has_frame ? double(song.frame) / rate_ * song.tempo / 60 : 0;
    song.looping = song.tells_loop && song.looping && std::isfinite(song.loop_start) && std::isfinite(song.loop_end) &&
                   std::abs(song.loop_start) < BEAT_LIMIT && std::abs(song.loop_end) < BEAT_LIMIT &&
                   song.loop_end - song.loop_start >= SHORTEST_LOOP;

    step.started = song.playing && !playing_;
    step.stopped = !song.playing && playing_;
    if (song.tells_loop) {
        loop_ = {song.looping, song.loop_start, song.loop_end};
        learnt_ = false;
    }
    if (song.playing) {
        const int64_t frame = song.has_frame ? song.frame : std::llrint(song.beat * 60 / song.tempo * rate_);
        if (step.started) {
            step.jumps = frame != at && frame >= 0;
        } else if (!continues(song)) {
            learn(song);
            step.jumps = frame >= 0;
        } else if (learnt_ && song.beat >= loop_.end) {
            loop_.on = learnt_ = false; // it did not wrap: there is no loop any more
        }
        step.to = step.jumps ? frame : at;
    } else if (learnt_) {
        loop_.on = learnt_ = false;
    }
    const int64_t here = step.jumps ? step.to : at;

    Transport now;
    now.tempo = song.tempo;
    now.beat = song.beat;
    now.numerator = uint8_t(song.numerator);
    now.denominator = uint8_t(song.denominator);
    now.playing = song.playing;
    now.looping = song.playing && loop_.on;
    now.loop_start = now.looping ? loop_.start : 0;
    now.loop_end = now.looping ? loop_.end : 0;

    step.known = true;
    step.changed = !has_said_ || step.jumps || now.tempo != said_.tempo || now.numerator != said_.numerator ||
                   now.denominator != said_.denominator || now.playing != said_.playing || now.looping != said_.looping ||
                   now.loop_start != said_.loop_start || now.loop_end != said_.loop_end;
    if (!step.changed && now.playing)
        step.changed = std::abs(now.beat - beat_at(here)) > song.grain + 30 / (now.tempo * rate_); // half a sample
    if (step.changed) {
        said_ = now;
        said_at_ = here;
        has_said_ = true;
    }
    step.transport = now;
    known_ = true;
    playing_ = song.playing;
    last_ = song;
    last_n_ = n;
    return step;
}

// Whether this block follows the last one on the song's way: straight on, or through the loop.
bool SongClock::continues(const SongTime& song) const noexcept
{
    if (song.has_frame && last_.has_frame) {
        const int64_t off = song.frame - (last_.frame + last_n_);
        if (std::abs(off) <= FRAME_JITTER)
            return true;
        if (!loop_.on || off >= 0)
            return false;
        const double length = (loop_.end - loop_.start) * 60 / song.tempo * rate_;
        const double wraps = std::round(-double(off) / length);
        return wraps >= 1 && std::abs(double(off) + wraps * length) <= double(FRAME_JITTER) * (wraps + 1);
    }
    const double per_sample = song.tempo / 60 / rate_, jitter = 2 * double(FRAME_JITTER) * per_sample + song.grain;
    const double off = song.beat - (last_.beat + double(last_n_) * (last_.tempo + song.tempo) / 120 / rate_);
    if (std::abs(off) <= jitter)
        return true;
    const double length = loop_.end - loop_.start;
    if (!loop_.on || off >= 0)
        return false;
    const double wraps = std::round(-off / length);
    return wraps >= 1 && std::abs(off + wraps * length) <= jitter * (wraps + 1);
}

// A leap back from one whole beat to another, while playing on, is the wrap of a loop.
void SongClock::learn(const SongTime& song) noexcept
{
    if (song.tells_loop)
        return;
    loop_.on = learnt_ = false;
    const double near = 2 * double(FRAME_JITTER) * song.tempo / 60 / rate_ + song.grain;
    const double reached = last_.beat + double(last_n_) * last_.tempo / 60 / rate_;
    const double length = reached - song.beat;
    const double end = std::floor(reached + near), start = end - length;
    if (length < 1 - near || end <= last_.beat || std::abs(start - std::round(start)) > near)
        return;
    loop_ = {true, std::round(start), end};
    learnt_ = true;
}

// Where the host takes the song to be at a timeline sample.
double SongClock::beat_at(int64_t at) const noexcept
{
    const double beat = said_.beat + double(at - said_at_) * said_.tempo / 60 / rate_;
    if (!said_.looping || said_.beat >= said_.loop_end || beat < said_.loop_end)
        return beat;
    const double length = said_.loop_end - said_.loop_start;
    return said_.loop_start + std::fmod(beat - said_.loop_start, length);
}

} // namespace descant
