// The order of things within a block, and what a new session is told again.

#include "core.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace descant {

namespace {
constexpr double RING_S = 2.5;  // past the playhead: the longest lead and some
constexpr double GATE_MS = 10;  // to open or close
constexpr double GAIN_MS = 10;
constexpr uint8_t UNTOUCHED = 255, ALL_NOTES_OFF = 123, ALL_SOUND_OFF = 120;

constexpr const char* wire_names[N_PARAMETERS] = {
    PARAMETERS[0].wire, PARAMETERS[1].wire, PARAMETERS[2].wire, PARAMETERS[3].wire, PARAMETERS[4].wire,
    PARAMETERS[5].wire, PARAMETERS[6].wire, PARAMETERS[7].wire,
};
static_assert(BEAT == 7 && !PARAMETERS[PLAY].wire, "the names above are all there are");
} // namespace

Core::Core(double sample_rate, uint32_t block_size, uint32_t channels, const char* name)
    : link(shared_, report, wire_names), sample_rate_(sample_rate), block_size_(block_size), channels_(channels),
      name_(name), shared_(channels, int64_t(RING_S * sample_rate)), playout_(channels, sample_rate, shared_.ring_samples),
      song_(sample_rate)
{
    for (uint32_t i = 0; i < N_INPUTS; ++i)
        sent_[i] = PARAMETERS[i].otherwise;
    std::memset(controllers_, UNTOUCHED, sizeof(controllers_));
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

void Core::process(float* const* out, uint32_t n, const SongTime& song, const MidiEvent* events, uint32_t n_events,
                   const std::atomic<float>* parameters) noexcept
{
    take_audio(2 * DESCANT_MAX_BLOCK_SAMPLES + 8 * int64_t(n));

    const Step step = song_.advance(playout_.playhead, n, song);
    if (step.jumps && step.to != playout_.playhead) {
        const int64_t shift = step.to - playout_.playhead;
        const bool within = shift > 0 && playout_.ahead(shift) >= shift; // as if it had been played
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
    for (uint32_t i = 0; i < n_events; ++i)
        midi(events[i], at + std::min(events[i].offset, n ? n - 1 : 0));

    playout_.read(out, n);
    shape(out, n, parameters[GAIN].load(std::memory_order_relaxed));
    shared_.place.store(Place::pack(playout_.playhead, jumps_), std::memory_order_release);
    underruns.store(playout_.underruns, std::memory_order_relaxed);
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
        for (const ParameterId id : {PLAY, PRESET, PANIC})
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
    default:
        return; // the wire has no words for it
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
