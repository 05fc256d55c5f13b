// Packing and checking by the structs of wire.h.

#include "message.h"

#include <cmath>
#include <cstring>

namespace descant {

namespace {
constexpr size_t MOST_NOTED = 32768; // characters, as in wire.py
constexpr int64_t MAX_POSITION = int64_t(1) << 53;

template <class Body>
std::string first_part(uint16_t type, int64_t at_sample, uint64_t session, uint32_t sequence, const Body& body)
{
    const descant_header header{DESCANT_VERSION_FIELD, type, session, sequence, at_sample};
    std::string part(sizeof(header) + sizeof(body), '\0');
    std::memcpy(&part[0], &header, sizeof(header));
    std::memcpy(&part[sizeof(header)], &body, sizeof(body));
    return part;
}

std::string first_part(uint16_t type, int64_t at_sample, uint64_t session, uint32_t sequence)
{
    const descant_header header{DESCANT_VERSION_FIELD, type, session, sequence, at_sample};
    return std::string(reinterpret_cast<const char*>(&header), sizeof(header));
}

bool is_audio(const Received& message)
{
    const auto body = message.as<descant_audio>();
    if (body.channels < 1 || body.channels > DESCANT_MAX_CHANNELS || body.n_samples < 1 ||
        body.n_samples > DESCANT_MAX_BLOCK_SAMPLES)
        return false;
    const std::string_view wave = message.parts[0];
    if (wave.size() != size_t(4) * body.channels * body.n_samples)
        return false;
    for (size_t i = 0; i < wave.size(); i += 4) {
        float sample;
        std::memcpy(&sample, wave.data() + i, 4);
        if (!(std::abs(sample) <= DESCANT_MAX_ABS_SAMPLE)) // NaN too
            return false;
    }
    return true;
}

bool are_names(std::string_view text, size_t count, size_t high)
{
    const std::vector<std::string> names = lines(text);
    if (names.size() > count || (!text.empty() && text.back() == '\n'))
        return false;
    for (const std::string& name : names)
        if (!is_text(name, 1, high))
            return false;
    return true;
}

bool are_lines(const Received& message, size_t from)
{
    for (size_t i = from; i < message.parts.size(); ++i)
        if (!is_text(message.parts[i], 0, 500))
            return false;
    return true;
}
} // namespace

Parts pack(const Hello& hello, uint64_t session, uint32_t sequence)
{
    const descant_hello body{hello.sample_rate, hello.block_size, hello.channels, hello.lead_ms, hello.commit_ms, hello.seed};
    return {first_part(DESCANT_HELLO, 0, session, sequence, body), hello.client, hello.model, hello.preset};
}

Parts pack_heartbeat(int64_t playhead, uint32_t free_samples, uint32_t jumps, uint64_t session, uint32_t sequence)
{
    const descant_heartbeat body{playhead, free_samples, jumps};
    return {first_part(DESCANT_HEARTBEAT, playhead, session, sequence, body)};
}

Parts pack_sync(int64_t playhead, uint32_t free_samples, int64_t until, uint64_t session, uint32_t sequence)
{
    const descant_sync body{playhead, free_samples, until};
    return {first_part(DESCANT_SYNC, playhead, session, sequence, body)};
}

Parts pack_capture(uint32_t clip, uint32_t sample_rate, uint32_t index, bool last, const float* wave, uint32_t n, int64_t at_sample, uint64_t session, uint32_t sequence)
{
    descant_capture body{};
    body.clip = clip;
    body.sample_rate = sample_rate;
    body.index = index;
    body.last = last;
    body.role = DESCANT_CAPTURE_ROLE_MELODY;
    body.channels = 1;
    body.n_samples = n;
    return {first_part(DESCANT_CAPTURE, at_sample, session, sequence, body), std::string(reinterpret_cast<const char*>(wave), n * sizeof(float))};
}

Parts pack_key_prompt(uint8_t key, const std::string& words, int64_t at_sample, uint64_t session, uint32_t sequence)
{
    return {first_part(DESCANT_KEY_PROMPT, at_sample, session, sequence, descant_key_prompt{key}), words};
}

Parts pack_goodbye(const std::string& reason, uint64_t session, uint32_t sequence)
{
    return {first_part(DESCANT_GOODBYE, 0, session, sequence), reason};
}

Parts pack_mode(bool offline, int64_t at_sample, uint64_t session, uint32_t sequence)
{
    const descant_mode body{uint8_t(offline ? DESCANT_MODE_MODE_OFFLINE : DESCANT_MODE_MODE_REALTIME)};
    return {first_part(DESCANT_MODE, at_sample, session, sequence, body)};
}

Parts pack(const Event& event, const std::string& name, uint64_t session, uint32_t sequence)
{
    const auto part = [&](uint16_t type, const auto& body) {
        return first_part(type, event.at_sample, session, sequence, body);
    };
    switch (event.kind) {
    case Event::NOTE_ON:
        return {part(DESCANT_NOTE_ON, descant_note_on{event.midi_channel, event.number, event.value})};
    case Event::NOTE_OFF:
        return {part(DESCANT_NOTE_OFF, descant_note_off{event.midi_channel, event.number, event.value})};
    case Event::CONTROL:
        return {part(DESCANT_CONTROL, descant_control{event.midi_channel, event.number, event.value})};
    case Event::BEND:
        return {part(DESCANT_BEND, descant_bend{event.midi_channel, uint16_t(event.index)})};
    case Event::PROGRAM:
        return {part(DESCANT_PROGRAM, descant_program{event.midi_channel, event.number})};
    case Event::TRIGGER:
        return {part(DESCANT_TRIGGER, descant_trigger{event.number, event.value, DESCANT_TRIGGER_ACTION_PRESS})};
    case Event::PARAMETER:
        return {part(DESCANT_PARAMETER, descant_parameter{event.amount}), name};
    case Event::PRESET:
        return {first_part(DESCANT_PRESET, event.at_sample, session, sequence), name};
    case Event::TRANSPORT: {
        const Transport& t = event.transport;
        const descant_transport body{t.tempo, t.beat, t.numerator, t.denominator, uint8_t(t.playing),
                                     t.loop_start, t.loop_end, uint8_t(t.looping)};
        return {part(DESCANT_TRANSPORT, body)};
    }
    case Event::JUMP:
    case Event::SYNC:
    case Event::CLIP_BEGIN:
    case Event::CLIP_END:
        break;
    }
    return {};
}

bool unpack(const std::vector<std::string_view>& parts, Received& out)
{
    if (parts.empty() || parts[0].size() < sizeof(descant_header))
        return false;
    std::memcpy(&out.header, parts[0].data(), sizeof(descant_header));
    out.body = parts[0].substr(sizeof(descant_header));
    out.parts.assign(parts.begin() + 1, parts.end());
    const descant_header& header = out.header;
    // A refusal is readable whatever version the host speaks.
    if (header.version != DESCANT_VERSION_FIELD &&
        !(header.type == DESCANT_REFUSED && header.version >> 8 == DESCANT_VERSION_FIELD >> 8))
        return false;
    if (header.at_sample < -MAX_POSITION || header.at_sample > MAX_POSITION)
        return false;
    const auto shape = [&](size_t size, size_t n_parts) { return out.body.size() == size && out.parts.size() == n_parts; };
    switch (header.type) {
    case DESCANT_WELCOME:
        return shape(sizeof(descant_welcome), 4) && is_text(out.parts[0], 1, 200) && is_text(out.parts[1], 0, 200) &&
               are_names(out.parts[2], 64, 64) && are_names(out.parts[3], 256, 200);
    case DESCANT_REFUSED:
        return shape(sizeof(descant_refused), 3) && are_lines(out, 0);
    case DESCANT_HEARTBEAT:
        return shape(sizeof(descant_heartbeat), 0);
    case DESCANT_GOODBYE:
        return shape(0, 1) && is_text(out.parts[0], 0, 200);
    case DESCANT_AUDIO:
        return shape(sizeof(descant_audio), 1) && is_audio(out);
    case DESCANT_FALLBACK:
        return shape(sizeof(descant_fallback), 0);
    case DESCANT_PLAN:
        return shape(sizeof(descant_plan), 1) && is_text(out.parts[0], 0, DESCANT_MAX_PROMPT);
    case DESCANT_METER: {
        if (!shape(sizeof(descant_meter), 0))
            return false;
        const auto meter = out.as<descant_meter>();
        return std::isfinite(meter.lead_ms) && std::isfinite(meter.real_time_factor) && std::isfinite(meter.load) &&
               std::isfinite(meter.control_delay_ms_p50) && std::isfinite(meter.control_delay_ms_p95);
    }
    case DESCANT_SYNCED:
        return shape(sizeof(descant_synced), 0);
    case DESCANT_NOTED: // for bridges that keep a record; this one does not
        return shape(sizeof(descant_noted), 1) && is_text(out.parts[0], 0, MOST_NOTED);
    case DESCANT_FAULT:
        return shape(sizeof(descant_fault), 3) && are_lines(out, 0);
    }
    return false;
}

std::vector<std::string> lines(std::string_view names)
{
    std::vector<std::string> out;
    while (!names.empty()) {
        const size_t end = names.find('\n');
        out.emplace_back(names.substr(0, end));
        names = end == std::string_view::npos ? std::string_view() : names.substr(end + 1);
    }
    return out;
}

bool is_text(std::string_view text, size_t low, size_t high)
{
    size_t characters = 0;
    for (size_t i = 0; i < text.size(); ++characters) {
        const auto byte = [&](size_t at) { return at < text.size() ? uint8_t(text[at]) : uint8_t(0); };
        const uint8_t lead = byte(i);
        const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
        if (length == 0 || lead == 0)
            return false;
        for (size_t k = 1; k < length; ++k)
            if ((byte(i + k) & 0xC0) != 0x80)
                return false;
        if ((lead == 0xE0 && byte(i + 1) < 0xA0) || (lead == 0xED && byte(i + 1) >= 0xA0) ||
            (lead == 0xF0 && byte(i + 1) < 0x90) || (lead == 0xF4 && byte(i + 1) >= 0x90))
            return false;
        i += length;
    }
    return low <= characters && characters <= high;
}

} // namespace descant
