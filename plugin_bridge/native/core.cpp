// The order of things within a block, and what a new session is told again.

#include "core.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace descant {

namespace {
constexpr double RING_S = 2.5;  // past the playhead: the longest lead and some
constexpr double GATE_MS = 10;  // to open or close
constexpr double GAIN_MS = 10;
constexpr uint32_t WET = 1024;  // samples filled at a time where there is an input
constexpr uint16_t BEND_REST = 8192;
constexpr uint8_t UNTOUCHED = 255, ALL_NOTES_OFF = 123, ALL_SOUND_OFF = 120;

double patience_of_bounces()
{
    const char* said = std::getenv("DESCANT_PATIENCE");
    const double seconds = said ? std::atof(said) : 30;
    return seconds > 0 && seconds < 3600 ? seconds : 30;
}

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
    : patience(patience_of_bounces()), link(shared_, report, wire_names.of), sample_rate_(sample_rate), block_size_(block_size), channels_(channels), inputs_(inputs),
      name_(name), shared_(channels, int64_t(RING_S * sample_rate), inputs ? sample_rate : 0), playout_(channels, sample_rate, shared_.ring_samples),
      song_(sample_rate), wet_(channels, std::vector<float>(WET)), cover_(WET), hold_(channels, sample_rate)
{
    for (uint32_t i = 0; i < N_INPUTS; ++i)
        sent_[i] = PARAMETERS[i].otherwise;
    std::memset(controllers_, UNTOUCHED, sizeof(controllers_));
    std::fill_n(bends_, 16, BEND_REST);
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
    take_audio(INT64_MAX);
    const int64_t wanted = n + playout_.fade;
    return playout_.ahead(wanted) >= wanted;
}

void Core::process(const float* const* in, float* const* out, uint32_t n, const SongTime& song, const MidiEvent* events, uint32_t n_events,
                   const std::atomic<float>* parameters) noexcept
{
    if (song.offline != offline_)
        follow_bounce(song.offline);
    take_audio(bouncing() ? INT64_MAX : 2 * DESCANT_MAX_BLOCK_SAMPLES + 8 * int64_t(n));

    Step step = song_.advance(playout_.playhead, n, song);
    if (bouncing() && step.started && playout_.playhead > 0) { // the next bounce of a DAW that stays offline
        follow_bounce(false);
        follow_bounce(offline_ = true);
        step = song_.advance(playout_.playhead, n, song);
    }
    if (step.jumps && step.to != playout_.playhead) {
        const int64_t shift = step.to - playout_.playhead;
        const bool within = shift > 0 && playout_.ahead(shift) >= shift; // as if it had been played
        quiet_from_ = quiet_from_ <= playout_.playhead ? step.to : INT64_MAX; // what was meant here is meant there
        playout_.seek(step.to);
        if (!within) {
            jumps_ = (jumps_ + 1) & 0xFFFF;
            jump_pending_ = true;
            jump_to_ = step.to;
        }
        shared_.place.store(Place::pack(playout_.playhead, jumps_), std::memory_order_release);
    }
    const int64_t at = playout_.playhead;
    push_jump();

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
        say(event);
    }
    if (step.started)
        open_ = true;
    if (step.stopped && parameters[RUN_ON].load(std::memory_order_relaxed) < 0.5f)
        open_ = false;
    if (anew) {
        welcomes_ = welcomes;
        say_again(at);
    }
    say_parameters(at, parameters);
    arm_note_ = inputs_ ? uint32_t(parameters[ARM_NOTE].load(std::memory_order_relaxed)) : 0;
    for (uint32_t i = 0; i < n_events; ++i)
        midi(events[i], at + std::min(events[i].offset, n ? n - 1 : 0));

    if (in && inputs_)
        record(in, n, at, step, parameters);
    fill(in, out, n, parameters);
    shared_.place.store(Place::pack(playout_.playhead, jumps_), std::memory_order_release);
    underruns.store(playout_.underruns, std::memory_order_relaxed);
}

// The music, and with it the input; which is read before its memory is written.
void Core::fill(const float* const* in, float* const* out, uint32_t n, const std::atomic<float>* parameters) noexcept
{
    const float gain = parameters[GAIN].load(std::memory_order_relaxed);
    const auto music = [&](float* const* to, uint32_t part) {
        if (bouncing())
            read_bounced(to, part);
        else
            read_live(to, part);
        if (offline_ && !bouncing())
            open_ = false; // failed
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

// The input into its ring, and the clips that begin or end in this block.
void Core::record(const float* const* in, uint32_t n, int64_t at, const Step& step, const std::atomic<float>* parameters) noexcept
{
    const int64_t here = shared_.input.written();
    shared_.input.write(in, inputs_, n);
    const bool armed = parameters[ARM].load(std::memory_order_relaxed) >= 0.5f || key_arms_;
    const auto bars = uint32_t(parameters[COUNT_IN].load(std::memory_order_relaxed));
    const auto cut = clip_clock_.advance(armed, step.known, step.transport, n, sample_rate_, bars);
    Event event;
    if (cut.end >= 0 && cut.begin < 0) {
        event.kind = Event::CLIP_END;
        event.index = clips_;
        event.at_sample = at + cut.end;
        event.amount = double(here + cut.end);
        say(event);
    }
    if (cut.begin >= 0) {
        event.kind = Event::CLIP_BEGIN;
        event.index = ++clips_;
        event.at_sample = at + cut.begin;
        event.amount = double(here + cut.begin);
        say(event);
    }
    report.recording.store(uint32_t(clip_clock_.state()), std::memory_order_relaxed);
}

// The last minute as a clip, from a bar line of the song on where there is one.
void Core::take_last(int64_t at, const Step& step) noexcept
{
    const int64_t end = shared_.input.written();
    int64_t begin = shared_.input.oldest();
    if (step.known && step.transport.playing) {
        const Transport& t = step.transport;
        const double bar = 4.0 * t.numerator / t.denominator, per_beat = 60 / t.tempo * sample_rate_;
        const double passed = t.beat - std::floor(t.beat / bar) * bar; // since the last line
        const double bars = std::floor((double(end - begin) / per_beat - passed) / bar);
        if (bars >= 0)
            begin = std::max<int64_t>(begin, end - std::llround((bars * bar + passed) * per_beat));
    }
    Event event;
    event.kind = Event::CLIP_BEGIN;
    event.index = ++clips_;
    event.at_sample = at - (end - begin);
    event.amount = double(begin);
    say(event);
    event.kind = Event::CLIP_END;
    event.amount = double(end);
    say(event);
}

// A bounce begins or ends: what was played before is forgotten, here and (by another session) in the host.
void Core::follow_bounce(bool offline) noexcept
{
    offline_ = offline;
    forget_performance();
    if (!offline) {
        if (bouncing())
            report.bounce = Report::NONE;
        shared_.turns.fetch_add(1, std::memory_order_release);
        return;
    }
    report.bounce = Report::RUNNING;
    playout_.empty(0);
    hold_.forget();
    song_.forget();
    open_ = true;
    level_ = 1;
    shared_.place.store(Place::pack(0, jumps_), std::memory_order_release);
    const uint32_t turn = shared_.turns.fetch_add(1, std::memory_order_release) + 1;
    await([&] { return push_jump(); });
    await([&] { return shared_.turned.load(std::memory_order_acquire) == turn; });
    take_audio(INT64_MAX);
    playout_.empty(0);
}

void Core::forget_performance() noexcept
{
    has_start_ = false;
    std::memset(held_, 0, sizeof(held_));
    std::memset(controllers_, UNTOUCHED, sizeof(controllers_));
    std::fill_n(bends_, 16, BEND_REST);
    std::memset(touched_, 0, sizeof(touched_));
    for (uint32_t i = 0; i < N_INPUTS; ++i)
        sent_[i] = PARAMETERS[i].otherwise;
    seen_parameters_ = false; // what differs from its default is told, as of a project that was just opened
}

// What has come; where it should have and has not, the last bar if that is wanted.
void Core::read_live(float* const* out, uint32_t n) noexcept
{
    const uint32_t plans = shared_.plans.load(std::memory_order_acquire);
    if (plans != plans_) {
        plans_ = plans;
        quiet_from_ = shared_.quiet_from.load(std::memory_order_relaxed);
    }
    const bool wanted = shared_.hold.load(std::memory_order_relaxed) && open_;
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

// The block once all of it has come, a part of the ring after the other.
void Core::read_bounced(float* const* out, uint32_t n) noexcept
{
    const auto most = uint32_t(shared_.ring_samples / 2);
    float* at[DESCANT_MAX_CHANNELS];
    for (uint32_t done = 0; done < n;) {
        const uint32_t part = std::min(n - done, most);
        for (uint32_t c = 0; c < channels_; ++c)
            at[c] = out[c] + done;
        Event event;
        event.kind = Event::SYNC;
        event.index = ++asked_;
        event.at_sample = playout_.playhead;
        event.amount = double(part + playout_.fade);
        const auto anew = [&] { return shared_.welcomes.load(std::memory_order_acquire) != welcomes_; };
        await([&] { return push_jump() && shared_.events.push(event); });
        await([&] { return anew() || shared_.answered.load(std::memory_order_acquire) == asked_; });
        if (anew())
            report.bounce = Report::FAILED; // another session: what it makes is not what was begun
        take_audio(INT64_MAX);
        playout_.read(at, part);
        done += part;
    }
}

// Thread: audio, in a bounce only. Wait until it has come; false when no host has lived for so long: then it has failed.
template <class Condition> bool Core::await(Condition come) noexcept
{
    using Clock = std::chrono::steady_clock;
    const auto began = Clock::now();
    auto lived = began;
    while (bouncing()) {
        if (come())
            return true;
        take_audio(INT64_MAX);
        const auto state = LinkState(report.state.load(std::memory_order_relaxed));
        if (shared_.turned == shared_.turns && (state == LinkState::LIVE || state == LinkState::OTHER_MODEL))
            lived = Clock::now();
        const auto since = [](Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); };
        if (since(lived) > patience || since(began) > 20 * patience) // also a host that lives and never answers
            report.bounce = Report::FAILED;
        else
            std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    return false;
}

// Blocks that have come, into the playout ring; after `most` samples the rest waits for the next turn.
void Core::take_audio(int64_t most) noexcept
{
    while (most > 0) {
        const AudioBlock* block = shared_.blocks.front();
        if (!block)
            return;
        if (block->n_samples == 0)
            playout_.forget_epochs();
        else
            playout_.place(block->at_sample, block->epoch, shared_.blocks.samples(*block), block->channels, block->n_samples, block->n_samples);
        most -= block->n_samples;
        shared_.blocks.pop();
    }
}

bool Core::push_jump() noexcept
{
    if (!jump_pending_)
        return true;
    Event event;
    event.kind = Event::JUMP;
    event.index = jumps_;
    event.at_sample = jump_to_;
    jump_pending_ = !shared_.events.push(event);
    return !jump_pending_;
}

void Core::say(Event event) noexcept
{
    event.at_sample = std::max<int64_t>(0, event.at_sample);
    if (bouncing()) { // nothing is lost
        await([&] { return push_jump() && shared_.events.push(event); });
        return;
    }
    if (!push_jump() || !shared_.events.push(event))
        dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// A session has begun: what it must know of before. Parameters that were moved, controllers, keys, the latest start.
void Core::say_again(int64_t at) noexcept
{
    Event event;
    event.at_sample = at;
    for (uint32_t i = 0; i < N_INPUTS; ++i)
        if (touched_[i] && PARAMETERS[i].wire) {
            event.kind = Event::PARAMETER;
            event.index = i;
            event.amount = sent_[i];
            say(event);
        }
    for (uint8_t channel = 0; channel < 16; ++channel)
        for (uint8_t number = 0; number < 128; ++number)
            if (controllers_[channel][number] != UNTOUCHED) {
                event.kind = Event::CONTROL;
                event.midi_channel = channel;
                event.number = number;
                event.value = controllers_[channel][number];
                say(event);
            }
    for (uint8_t channel = 0; channel < 16; ++channel)
        if (bends_[channel] != BEND_REST) {
            event.kind = Event::BEND;
            event.midi_channel = channel;
            event.index = bends_[channel];
            say(event);
        }
    for (uint8_t channel = 0; channel < 16; ++channel)
        for (uint8_t key = 0; key < 128; ++key)
            if (held_[channel][key] && !(has_start_ && start_.kind == Event::NOTE_ON && start_.midi_channel == channel && start_.number == key)) {
                event.kind = Event::NOTE_ON;
                event.midi_channel = channel;
                event.number = key;
                event.value = held_[channel][key];
                say(event);
            }
    if (!has_start_)
        return;
    Event start = start_;
    start.at_sample = at;
    say(start);
    if (start.kind == Event::NOTE_ON && !held_[start.midi_channel][start.number]) {
        start.kind = Event::NOTE_OFF;
        start.value = 0;
        say(start);
    }
}

void Core::say_parameters(int64_t at, const std::atomic<float>* parameters) noexcept
{
    if (!seen_parameters_) { // what a project restored is no press of a button
        seen_parameters_ = true;
        for (const ParameterId id : {PLAY, PRESET, PANIC, TAKE_LAST})
            sent_[id] = parameters[id].load(std::memory_order_relaxed);
    }
    for (uint32_t i = 0; i < N_INPUTS; ++i) {
        const float value = parameters[i].load(std::memory_order_relaxed);
        if (value == sent_[i])
            continue;
        const float before = sent_[i];
        sent_[i] = value;
        touched_[i] = true;
        Event event;
        event.at_sample = at;
        event.index = i;
        if (PARAMETERS[i].wire) {
            event.kind = Event::PARAMETER;
            event.amount = value;
            say(event);
        } else if (i == PLAY && value >= 1) {
            event.kind = Event::TRIGGER;
            event.number = uint8_t(value - 1);
            event.value = 127;
            say(event);
            start_of(event);
        } else if (i == PRESET && value >= 1) {
            event.kind = Event::PRESET;
            event.index = uint32_t(value) - 1;
            say(event);
        } else if (i == SEED) {
            link.set_seed(uint64_t(value));
        } else if (i == PANIC && value >= 0.5f && before < 0.5f) {
            panic(at);
        } else if (i == TAKE_LAST && value >= 0.5f && before < 0.5f && inputs_) {
            take_last(at, Step{false, at, false, false, false, has_transport_, transport_});
        }
    }
}

void Core::midi(const MidiEvent& in, int64_t at) noexcept
{
    if (in.size < 2)
        return;
    Event event;
    event.at_sample = at;
    event.midi_channel = in.data[0] & 0x0F;
    event.number = in.data[1] & 0x7F;
    event.value = in.size > 2 ? in.data[2] & 0x7F : 0;
    switch (in.data[0] & 0xF0) {
    case 0x90:
        if (in.size < 3)
            return;
        event.kind = event.value ? Event::NOTE_ON : Event::NOTE_OFF;
        break;
    case 0x80:
        event.kind = Event::NOTE_OFF;
        break;
    case 0xB0:
        if (in.size < 3)
            return;
        event.kind = Event::CONTROL;
        break;
    case 0xC0:
        event.kind = Event::PROGRAM;
        break;
    case 0xE0:
        if (in.size < 3)
            return;
        event.kind = Event::BEND;
        event.index = uint32_t(event.value << 7 | event.number);
        bends_[event.midi_channel] = uint16_t(event.index);
        break;
    default:
        return; // the wire has no words for it
    }
    if ((event.kind == Event::NOTE_ON || event.kind == Event::NOTE_OFF) && event.number + 1u == arm_note_) {
        key_arms_ = event.kind == Event::NOTE_ON;
        return;
    }
    if (event.kind == Event::NOTE_ON || event.kind == Event::NOTE_OFF)
        held_[event.midi_channel][event.number] = event.kind == Event::NOTE_ON ? event.value : 0;
    if (event.kind == Event::CONTROL) {
        if (event.number == ALL_NOTES_OFF || event.number == ALL_SOUND_OFF)
            return panic(at);
        controllers_[event.midi_channel][event.number] = event.value;
    }
    say(event);
    if (event.kind == Event::NOTE_ON || event.kind == Event::PROGRAM)
        start_of(event);
}

void Core::start_of(const Event& event) noexcept
{
    start_ = event;
    has_start_ = true;
    open_ = true;
}

// Silence now, here and in the host; nothing is started again for a session to come.
void Core::panic(int64_t at) noexcept
{
    Event event;
    event.kind = Event::CONTROL;
    event.at_sample = at;
    event.number = ALL_NOTES_OFF;
    say(event);
    std::memset(held_, 0, sizeof(held_));
    has_start_ = false;
    open_ = false;
    quiet_from_ = playout_.playhead;
}

// The gate's and the gain's way over the block, in straight lines.
void Core::shape(float* const* out, uint32_t n, float gain_db) noexcept
{
    const float wanted = gain_db <= PARAMETERS[GAIN].low ? 0.0f : gain_db == 0 ? 1.0f : std::pow(10.0f, gain_db / 20);
    const float target = open_ ? 1.0f : 0.0f;
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
