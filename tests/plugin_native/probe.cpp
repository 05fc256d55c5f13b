// The plugin's parts as plain C functions, for Python to drive and to compare with plugin_bridge/*.py.

#include <atomic>
#include <cstring>
#include <ctime>
#include <string>

#include "core.h"
#include "endpoint.h"

using namespace descant;

#define API extern "C" __attribute__((visibility("default")))

// ---- playout: out, wave are planar [C][n]
API Playout* playout_new(uint32_t channels, double rate, int64_t capacity) { return new Playout(channels, rate, capacity); }
API void playout_free(Playout* ring) { delete ring; }
API int64_t playout_place(Playout* ring, int64_t at, int64_t epoch, const float* wave, uint32_t channels, int64_t n)
{
    return ring->place(at, epoch, wave, channels, n, n);
}
API int64_t playout_read(Playout* ring, float* out, int64_t n)
{
    float* pointers[8];
    for (uint32_t c = 0; c < ring->channels; ++c)
        pointers[c] = out + c * n;
    return ring->read(pointers, n);
}
API void playout_seek(Playout* ring, int64_t at) { ring->seek(at); }
API void playout_forget(Playout* ring) { ring->forget_epochs(); }
API int64_t playout_ahead(Playout* ring, int64_t limit) { return ring->ahead(limit); }
API void playout_counts(Playout* ring, int64_t* seven)
{
    const int64_t counts[] = {ring->playhead, ring->epoch, int64_t(ring->underruns), int64_t(ring->late), int64_t(ring->far), int64_t(ring->stale), ring->fade};
    std::memcpy(seven, counts, sizeof(counts));
}

// ---- the song
API SongClock* song_new(double rate) { return new SongClock(rate); }
API void song_free(SongClock* clock) { delete clock; }
// flags: known 1, playing 2, has_frame 4, has_beat 8, tells_loop 16, looping 32, offline 64. out: jumps, changed, stopped, started,
// known; to, tempo, beat, numerator, denominator, playing, looping, loop_start, loop_end.
API void song_advance(SongClock* clock, int64_t at, int64_t n, uint32_t flags, int64_t frame, double beat, double tempo, uint32_t numerator,
                      uint32_t denominator, double loop_start, double loop_end, double* out)
{
    SongTime song;
    song.known = flags & 1;
    song.playing = flags & 2;
    song.has_frame = flags & 4;
    song.has_beat = flags & 8;
    song.tells_loop = flags & 16;
    song.looping = flags & 32;
    song.offline = flags & 64;
    song.frame = frame;
    song.beat = beat;
    song.tempo = tempo;
    song.numerator = numerator;
    song.denominator = denominator;
    song.loop_start = loop_start;
    song.loop_end = loop_end;
    const Step s = clock->advance(at, n, song);
    const Transport& t = s.transport;
    const double all[] = {double(s.jumps), double(s.changed), double(s.stopped), double(s.started), double(s.known), double(s.to), t.tempo, t.beat,
                          double(t.numerator), double(t.denominator), double(t.playing), double(t.looping), t.loop_start, t.loop_end};
    std::memcpy(out, all, sizeof(all));
}

// ---- messages: packed parts one after the other, each behind its length (u32)
static uint32_t laid(const Parts& parts, uint8_t* out)
{
    uint8_t* at = out;
    for (const std::string& part : parts) {
        const uint32_t size = uint32_t(part.size());
        std::memcpy(at, &size, 4);
        std::memcpy(at + 4, part.data(), size);
        at += 4 + size;
    }
    return uint32_t(at - out);
}
API uint32_t pack_hello(uint8_t* out, uint32_t rate, uint32_t block, uint8_t channels, uint32_t lead, uint32_t commit, uint64_t seed, const char* client,
                        const char* model, const char* preset, uint64_t session, uint32_t sequence)
{
    Hello hello{rate, block, channels, lead, commit, seed, client, model, preset};
    return laid(pack(hello, session, sequence), out);
}
API uint32_t pack_place(uint8_t* out, int64_t playhead, uint32_t free, uint32_t jumps, uint64_t session, uint32_t sequence)
{
    return laid(pack_heartbeat(playhead, free, jumps, session, sequence), out);
}
API uint32_t pack_asked(uint8_t* out, int64_t playhead, uint32_t free, int64_t until, uint64_t session, uint32_t sequence)
{
    return laid(pack_sync(playhead, free, until, session, sequence), out);
}
API uint32_t pack_leave(uint8_t* out, const char* reason, uint64_t session, uint32_t sequence) { return laid(pack_goodbye(reason, session, sequence), out); }
API uint32_t pack_offline(uint8_t* out, int offline, int64_t at, uint64_t session, uint32_t sequence) { return laid(pack_mode(offline, at, session, sequence), out); }
API uint32_t pack_event(uint8_t* out, int kind, uint8_t channel, uint8_t number, uint8_t value, int64_t at, double amount, const double* transport, const char* name,
                        uint64_t session, uint32_t sequence)
{
    Event event;
    event.kind = Event::Kind(kind);
    event.midi_channel = channel;
    event.number = number;
    event.value = value;
    event.at_sample = at;
    event.amount = amount;
    if (transport)
        event.transport = {transport[0], transport[1], uint8_t(transport[2]), uint8_t(transport[3]), transport[4] != 0, transport[5], transport[6], transport[7] != 0};
    return laid(pack(event, name, session, sequence), out);
}
API uint32_t pack_words(uint8_t* out, uint8_t key, const char* words, int64_t at, uint64_t session, uint32_t sequence)
{
    return laid(pack_key_prompt(key, words, at, session, sequence), out);
}
API int accepts(const uint8_t* data, const uint32_t* sizes, uint32_t n_parts)
{
    std::vector<std::string_view> parts;
    for (uint32_t i = 0; i < n_parts; data += sizes[i++])
        parts.emplace_back(reinterpret_cast<const char*>(data), sizes[i]);
    Received received;
    return unpack(parts, received);
}

// ---- settings and endpoint
API int settings_again(const char* text, char* out, uint32_t size)
{
    Settings settings;
    const bool read = read_settings(text, settings);
    const std::string again = write_settings(settings);
    std::strncpy(out, again.c_str(), size);
    return read;
}
API void file_settings(char* out, uint32_t size)
{
    Settings settings;
    settings.keys = keys_of_file();
    std::strncpy(out, write_settings(settings).c_str(), size);
}
API void host_address(const char* saved, char* out, uint32_t size) { std::strncpy(out, find_host(saved).endpoint.c_str(), size); }

// ---- the whole core, as a DAW drives it
struct Daw {
    Daw(double rate, uint32_t block, uint32_t channels, uint32_t inputs) : core(rate, block, channels, "probe", inputs), channels(channels)
    {
        for (uint32_t i = 0; i < N_INPUTS; ++i)
            values[i].store(PARAMETERS[i].otherwise);
    }
    Core core;
    uint32_t channels;
    std::atomic<float> values[N_INPUTS];
};
API Daw* daw_new(double rate, uint32_t block, uint32_t channels, uint32_t inputs) { return new Daw(rate, block, channels, inputs); }
API void daw_free(Daw* daw) { delete daw; }
API void daw_activate(Daw* daw) { daw->core.activate(); }
API void daw_deactivate(Daw* daw) { daw->core.deactivate(); }
API void daw_set(Daw* daw, uint32_t index, float value) { daw->values[index].store(value); }
API void daw_patience(Daw* daw, double seconds) { daw->core.set_patience(seconds); }
API int daw_ready(Daw* daw, int64_t n) { return daw->core.ready(n); }
API int64_t daw_playhead(Daw* daw) { return daw->core.playhead(); }
API void daw_report(Daw* daw, double* out)
{
    const Report& r = daw->core.report;
    const double all[] = {double(r.state), r.lead_ms, double(r.losses), double(r.reconnects), double(r.malformed), double(r.overruns), double(r.unsent),
                          double(r.faults), double(daw->core.underruns), double(daw->core.dropped), double(r.blocks), double(r.bounce), double(r.recording), double(r.clip)};
    std::memcpy(out, all, sizeof(all));
}
API void daw_words(Daw* daw, char* out, uint32_t size) { std::strncpy(out, daw->core.link.words().c_str(), size); }
API void daw_settings(Daw* daw, const char* text)
{
    Settings settings;
    if (read_settings(text, settings))
        daw->core.link.set_settings(settings);
}
// Nanoseconds of processor that each of n_blocks blocks of n samples takes; the transport stands still.
API double daw_cost(Daw* daw, uint32_t n_blocks, uint32_t n)
{
    std::vector<float> left(n), right(n);
    float* out[] = {left.data(), right.data()};
    const auto spent = [] {
        timespec now;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return 1e9 * double(now.tv_sec) + double(now.tv_nsec);
    };
    const double began = spent();
    for (uint32_t i = 0; i < n_blocks; ++i)
        daw->core.process(out, out, n, SongTime(), nullptr, 0, daw->values);
    return (spent() - began) / n_blocks;
}
// flags etc. as of song_advance; midi: n_events rows of offset, size, three bytes.
// The input lies in `out` (as in DAWs that process in place) if the core has one.
API void daw_process(Daw* daw, float* out, uint32_t n, uint32_t flags, int64_t frame, double beat, double tempo, uint32_t numerator, uint32_t denominator,
                     double loop_start, double loop_end, const uint32_t* midi, uint32_t n_events)
{
    SongTime song;
    song.known = flags & 1;
    song.playing = flags & 2;
    song.has_frame = flags & 4;
    song.has_beat = flags & 8;
    song.tells_loop = flags & 16;
    song.looping = flags & 32;
    song.offline = flags & 64;
    song.frame = frame;
    song.beat = beat;
    song.tempo = tempo;
    song.numerator = numerator;
    song.denominator = denominator;
    song.loop_start = loop_start;
    song.loop_end = loop_end;
    std::vector<MidiEvent> events(n_events);
    for (uint32_t i = 0; i < n_events; ++i, midi += 5)
        events[i] = {midi[0], midi[1], {uint8_t(midi[2]), uint8_t(midi[3]), uint8_t(midi[4])}};
    float* pointers[8];
    for (uint32_t c = 0; c < daw->channels; ++c)
        pointers[c] = out + size_t(c) * n;
    daw->core.process(pointers, pointers, n, song, events.data(), n_events, daw->values);
}
