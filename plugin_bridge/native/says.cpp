// In which words what is played, moved and pressed is told.

#include "says.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace descant {

namespace {
constexpr uint16_t BEND_REST = 8192;
constexpr uint8_t UNTOUCHED = 255, ALL_NOTES_OFF = 123, ALL_SOUND_OFF = 120;
} // namespace

Says::Says(Shared& shared, Bounce& bounce, Link& link, std::atomic<uint64_t>& dropped) : shared_(shared), bounce_(bounce), link_(link), dropped_(dropped)
{
    forget();
}

void Says::jump(int64_t to) noexcept
{
    jumps_ = (jumps_ + 1) & 0xFFFF;
    jump_pending_ = true;
    jump_to_ = to;
}

bool Says::took_panic() noexcept { return std::exchange(panicked_, false); }

bool Says::push_jump() noexcept
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

void Says::say(Event event) noexcept
{
    event.at_sample = std::max<int64_t>(0, event.at_sample);
    if (bounce_.running()) { // nothing is lost
        bounce_.await([&] { return push(event); });
        return;
    }
    if (!push(event))
        dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void Says::again(int64_t at) noexcept
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

bool Says::parameters(int64_t at, const std::atomic<float>* parameters) noexcept
{
    if (!seen_parameters_) { // what a project restored is no press of a button
        seen_parameters_ = true;
        for (const ParameterId id : {PLAY, PRESET, PANIC, TAKE_LAST})
            sent_[id] = parameters[id].load(std::memory_order_relaxed);
    }
    bool take_last = false;
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
            link_.set_seed(uint64_t(value));
        } else if (i == PANIC && value >= 0.5f && before < 0.5f) {
            panic(at);
        } else if (i == TAKE_LAST && value >= 0.5f && before < 0.5f) {
            take_last = true;
        }
    }
    return take_last;
}

void Says::midi(const MidiEvent& in, int64_t at) noexcept
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

void Says::start_of(const Event& event) noexcept
{
    start_ = event;
    has_start_ = true;
    open = true;
}

// Silence now, here and in the host; nothing is started again for a session to come.
void Says::panic(int64_t at) noexcept
{
    Event event;
    event.kind = Event::CONTROL;
    event.at_sample = at;
    event.number = ALL_NOTES_OFF;
    say(event);
    std::memset(held_, 0, sizeof(held_));
    has_start_ = false;
    open = false;
    panicked_ = true;
}

void Says::forget() noexcept
{
    has_start_ = false;
    std::memset(held_, 0, sizeof(held_));
    std::memset(controllers_, UNTOUCHED, sizeof(controllers_));
    std::fill_n(bends_, 16, BEND_REST);
    std::memset(touched_, 0, sizeof(touched_));
    for (uint32_t i = 0; i < N_INPUTS; ++i)
        sent_[i] = PARAMETERS[i].otherwise;
    seen_parameters_ = false;
}

} // namespace descant
