// The order of things within a block, and how loud they are.

#include "core.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace descant {

namespace {
constexpr double RING_S = 2.5;  // past the playhead: the longest lead and some
constexpr double GATE_MS = 10;  // to open or close
constexpr double GAIN_MS = 10;
constexpr uint32_t WET = 1024;  // samples filled at a time where there is an input

struct WireNames {
    const char* of[N_PARAMETERS] = {};
    constexpr WireNames()
    {
        for (uint32_t i = 0; i < N_PARAMETERS; ++i)
            of[i] = PARAMETERS[i].wire;
    }
};
constexpr WireNames wire_names;
} // namespace

Core::Core(double sample_rate, uint32_t block_size, uint32_t channels, const char* name, uint32_t inputs)
    : link(shared_, report, wire_names.of), sample_rate_(sample_rate), block_size_(block_size), channels_(channels), inputs_(inputs), name_(name),
      shared_(channels, int64_t(RING_S * sample_rate), inputs ? sample_rate : 0), playout_(channels, sample_rate, shared_.ring_samples),
      bounce_(shared_, report, playout_), says_(shared_, bounce_, link, dropped), clips_(shared_, report, says_, sample_rate, inputs), song_(sample_rate),
      wet_(channels, std::vector<float>(WET)), cover_(WET), hold_(channels, sample_rate)
{
}

void Core::activate()
{
    Hello hello;
    hello.sample_rate = uint32_t(std::clamp(std::lround(sample_rate_), 8000L, 384000L));
    hello.block_size = std::clamp(block_size_, 1u, 65536u);
    hello.channels = uint8_t(channels_);
    hello.client = name_;
    link.start(hello);
}

void Core::deactivate() { link.stop(); }

bool Core::ready(int64_t n) noexcept
{
    take_blocks(shared_.blocks, playout_, INT64_MAX);
    const int64_t wanted = n + playout_.fade;
    return playout_.ahead(wanted) >= wanted;
}

void Core::process(const float* const* in, float* const* out, uint32_t n, const SongTime& song, const MidiEvent* events, uint32_t n_events,
                   const std::atomic<float>* parameters) noexcept
{
    if (song.offline != offline_)
        follow_bounce(song.offline);
    take_blocks(shared_.blocks, playout_, bounce_.running() ? INT64_MAX : 2 * DESCANT_MAX_BLOCK_SAMPLES + 8 * int64_t(n));

    Step step = song_.advance(playout_.playhead, n, song);
    if (bounce_.running() && step.started && playout_.playhead > 0) { // the next bounce of a DAW that stays offline
        follow_bounce(false);
        follow_bounce(offline_ = true);
        step = song_.advance(playout_.playhead, n, song);
    }
    if (step.jumps && step.to != playout_.playhead) {
        const int64_t shift = step.to - playout_.playhead;
        const bool within = shift > 0 && playout_.ahead(shift) >= shift; // as if it had been played
        quiet_from_ = quiet_from_ <= playout_.playhead ? step.to : INT64_MAX; // what was meant here is meant there
        playout_.seek(step.to);
        if (!within)
            says_.jump(step.to);
        shared_.place.store(Place::pack(playout_.playhead, says_.jumps()), std::memory_order_release);
    }
    const int64_t at = playout_.playhead;
    says_.push_jump();

    has_transport_ = step.known || step.stopped;
    if (has_transport_)
        transport_ = step.transport;
    const uint32_t welcomes = shared_.welcomes.load(std::memory_order_acquire);
    const bool anew = welcomes != welcomes_;
    if (has_transport_ && (step.changed || anew || n_events > 0)) {
        Event event;
        event.kind = Event::TRANSPORT;
        event.at_sample = at;
        event.transport = transport_;
        says_.say(event);
    }
    if (step.started) {
        says_.open = true;
        if (!offline_)
            bounce_.forgive();
    }
    if (step.stopped && parameters[RUN_ON].load(std::memory_order_relaxed) < 0.5f)
        says_.open = false;
    if (anew) {
        welcomes_ = welcomes;
        says_.again(at);
    }
    if (says_.parameters(at, parameters) && inputs_)
        clips_.take_last(at, has_transport_, transport_);
    const uint32_t arm_note = inputs_ ? uint32_t(parameters[ARM_NOTE].load(std::memory_order_relaxed)) : 0;
    for (uint32_t i = 0; i < n_events; ++i)
        if (!clips_.takes(events[i], arm_note))
            says_.midi(events[i], at + std::min(events[i].offset, n ? n - 1 : 0));
    if (says_.took_panic())
        quiet_from_ = playout_.playhead;

    if (in && inputs_)
        clips_.record(in, n, at, step.known, step.transport, parameters);
    fill(in, out, n, parameters);
    shared_.place.store(Place::pack(playout_.playhead, says_.jumps()), std::memory_order_release);
    underruns.store(playout_.underruns, std::memory_order_relaxed);
}

// The music, and with it the input; which is read before its memory is written.
void Core::fill(const float* const* in, float* const* out, uint32_t n, const std::atomic<float>* parameters) noexcept
{
    const float gain = parameters[GAIN].load(std::memory_order_relaxed);
    const auto music = [&](float* const* to, uint32_t part) {
        if (bounce_.running())
            bounce_.read(to, part, welcomes_, [this](const Event& event) { return says_.push(event); });
        else
            read_live(to, part);
        if (offline_ && !bounce_.running())
            says_.open = false; // failed
        shape(to, part, gain);
    };
    if (!in || !inputs_)
        return music(out, n);
    const float db = parameters[DRY].load(std::memory_order_relaxed);
    const float dry = db <= PARAMETERS[DRY].low ? 0.0f : db == 0 ? 1.0f : std::pow(10.0f, db / 20);
    const float step = float(4 * 1000 / (GAIN_MS * sample_rate_));
    float* wet[DESCANT_MAX_CHANNELS];
    for (uint32_t c = 0; c < channels_; ++c)
        wet[c] = wet_[c].data();
    for (uint32_t done = 0; done < n;) {
        const uint32_t part = std::min(n - done, WET);
        music(wet, part);
        for (uint32_t i = 0; i < part; ++i) {
            dry_ = dry_ < dry ? std::min(dry, dry_ + step) : std::max(dry, dry_ - step);
            for (uint32_t c = 0; c < channels_; ++c) {
                const float through = in[std::min(c, inputs_ - 1)][done + i];
                wet[c][i] += std::isfinite(through) ? dry_ * through : 0.0f;
            }
        }
        for (uint32_t c = 0; c < channels_; ++c)
            std::memcpy(out[c] + done, wet[c], part * sizeof(float));
        done += part;
    }
}

// A bounce begins or ends: what was played before is forgotten, here and (by another session) in the host.
void Core::follow_bounce(bool offline) noexcept
{
    offline_ = offline;
    says_.forget();
    if (!offline)
        return bounce_.end();
    hold_.forget();
    song_.forget();
    says_.open = true;
    level_ = 1;
    bounce_.begin(says_.jumps(), [this] { return says_.push_jump(); });
}

// What has come; where it should have and has not, the last bar if that is wanted.
void Core::read_live(float* const* out, uint32_t n) noexcept
{
    const uint32_t plans = shared_.plans.load(std::memory_order_acquire);
    if (plans != plans_) {
        plans_ = plans;
        quiet_from_ = shared_.quiet_from.load(std::memory_order_relaxed);
    }
    const bool wanted = shared_.hold.load(std::memory_order_relaxed) && says_.open;
    const double beat = 60 / transport_.tempo * sample_rate_, bar = beat * 4 * transport_.numerator / transport_.denominator;
    float* at[DESCANT_MAX_CHANNELS];
    for (uint32_t done = 0; done < n;) {
        const uint32_t part = std::min(n - done, WET);
        for (uint32_t c = 0; c < channels_; ++c)
            at[c] = out[c] + done;
        const int64_t place = playout_.playhead;
        playout_.read(at, part, cover_.data());
        hold_.pass(at, cover_.data(), part, place, wanted, quiet_from_, std::llround(bar), std::llround(beat));
        done += part;
    }
}

// The gate's and the gain's way over the block, in straight lines.
void Core::shape(float* const* out, uint32_t n, float gain_db) noexcept
{
    const float wanted = gain_db <= PARAMETERS[GAIN].low ? 0.0f : gain_db == 0 ? 1.0f : std::pow(10.0f, gain_db / 20);
    const float target = says_.open ? 1.0f : 0.0f;
    if (level_ == target && gain_ == wanted) {
        const float factor = level_ * gain_;
        if (factor == 1.0f)
            return;
        for (uint32_t c = 0; c < channels_; ++c)
            for (uint32_t i = 0; i < n; ++i)
                out[c][i] *= factor;
        return;
    }
    const float gate_step = float(1000 / (GATE_MS * sample_rate_)), gain_step = float(4 * 1000 / (GAIN_MS * sample_rate_));
    for (uint32_t i = 0; i < n; ++i) {
        level_ = level_ < target ? std::min(target, level_ + gate_step) : std::max(target, level_ - gate_step);
        gain_ = gain_ < wanted ? std::min(wanted, gain_ + gain_step) : std::max(wanted, gain_ - gain_step);
        for (uint32_t c = 0; c < channels_; ++c)
            out[c][i] *= level_ * gain_;
    }
}

} // namespace descant
