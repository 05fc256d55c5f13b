// The wire's messages as a bridge needs them: what it sends, packed; what it receives, checked. See wire.h.
//
// Knows nothing about sockets, sessions' states or time. Nothing here is called from an audio thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "song.h"
#include "wire.h"

namespace descant {

using Parts = std::vector<std::string>;

// What an audio thread has to say: small, plain, copied through a ring.
struct Event {
    enum Kind : uint8_t { NOTE_ON, NOTE_OFF, CONTROL, PROGRAM, TRIGGER, PARAMETER, PRESET, TRANSPORT, JUMP, SYNC, CLIP_BEGIN, CLIP_END, BEND };
    Kind kind = JUMP;
    uint8_t midi_channel = 0, number = 0, value = 0; // key, controller, program or slot; velocity or value
    uint32_t index = 0;                              // BEND: 14 bits; PARAMETER: which; PRESET: which, from 0; JUMP: how many so far; SYNC, CLIP_*: which
    int64_t at_sample = 0;
    double amount = 0;                               // PARAMETER; SYNC: samples that are read next; CLIP_*: place in the input
    Transport transport;
};

struct Hello {
    uint32_t sample_rate = 48000, block_size = 256;
    uint8_t channels = 2;
    uint32_t lead_ms = 0, commit_ms = 0; // 0: the preset's
    uint64_t seed = 0;
    std::string client = "plugin", model, preset;
};

Parts pack(const Hello&, uint64_t session, uint32_t sequence);
Parts pack_heartbeat(int64_t playhead, uint32_t free_samples, uint32_t jumps, uint64_t session, uint32_t sequence);
Parts pack_sync(int64_t playhead, uint32_t free_samples, int64_t until, uint64_t session, uint32_t sequence);
// A piece of a melody clip, mono, n samples.
Parts pack_capture(uint32_t clip, uint32_t sample_rate, uint32_t index, bool last, const float* wave, uint32_t n, int64_t at_sample, uint64_t session, uint32_t sequence);
Parts pack_key_prompt(uint8_t key, const std::string& words, int64_t at_sample, uint64_t session, uint32_t sequence);
Parts pack_goodbye(const std::string& reason, uint64_t session, uint32_t sequence);
Parts pack_mode(bool offline, int64_t at_sample, uint64_t session, uint32_t sequence);
// name: of the parameter or preset; not used by others. JUMP, SYNC and CLIP_* are packed by themselves: nothing comes out.
Parts pack(const Event&, const std::string& name, uint64_t session, uint32_t sequence);

// Read-only views of a received message's parts.
struct Received {
    descant_header header{};
    std::string_view body;                // the packed scalars, of the size the type says
    std::vector<std::string_view> parts;  // the raw parts, their number checked; texts are UTF-8 within their limits

    template <class T>
    T as() const
    {
        T value;
        __builtin_memcpy(&value, body.data(), sizeof(T));
        return value;
    }
};

// Whether the parts are a message that a host may send: its header, type, sizes, ranges and texts; for `audio` also
// that every sample is finite and no louder than the wire allows. `out` holds views of `parts`.
bool unpack(const std::vector<std::string_view>& parts, Received& out);

std::vector<std::string> lines(std::string_view names);
bool is_text(std::string_view text, size_t low, size_t high); // UTF-8, so many characters, no NUL

} // namespace descant
