// A small CLAP host: plays a plugin in real time with transport and events, or abuses it; counts what is allocated in
// `process`, by the plugin and the framework together.
//
//   clap_host FILE.clap play SECONDS RATE BLOCKS TEMPO OUT  a note at beat 1.5; OUT: the left channel, float32;
//                                                          BLOCKS: 512, or sizes in turn: 1,4096,17; an effect hears
//                                                          an impulse at frame 100 of each 4800
//   clap_host FILE.clap bounce ...                         the same, offline: as fast as it comes, the note is key 36
//   clap_host FILE.clap rates MANNER RATE...               plays at each in turn; "active": without a deactivate between
//   clap_host FILE.clap crowd N                            N notes in one block, and one of velocity 77 later
//   clap_host FILE.clap abuse SECONDS SEED                  everything a DAW may do, at random; 1 MB of foreign state
//
// Prints `name value` lines; the exit code is 0 if nothing was allocated, no sample was foul and states came back.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>

#include "clap/entry.h"
#include "clap/ext/latency.h"
#include "clap/ext/note-ports.h"
#include "clap/ext/params.h"
#include "clap/ext/state.h"
#include "clap/plugin-factory.h"

static thread_local bool in_process = false;
static std::atomic<long> allocations{0};
extern "C" void* __libc_malloc(size_t);
extern "C" void __libc_free(void*);
extern "C" void* __libc_realloc(void*, size_t);
extern "C" void* __libc_calloc(size_t, size_t);
extern "C" __attribute__((visibility("default"))) void* malloc(size_t n)
{
    allocations += in_process;
    return __libc_malloc(n);
}
extern "C" __attribute__((visibility("default"))) void free(void* p)
{
    allocations += in_process;
    __libc_free(p);
}
extern "C" __attribute__((visibility("default"))) void* realloc(void* p, size_t n)
{
    allocations += in_process;
    return __libc_realloc(p, n);
}
extern "C" __attribute__((visibility("default"))) void* calloc(size_t n, size_t size)
{
    allocations += in_process;
    return __libc_calloc(n, size);
}

namespace {

union AnyEvent {
    clap_event_header_t header;
    clap_event_note_t note;
    clap_event_midi_t midi;
    clap_event_param_value_t value;
    clap_event_transport_t transport;
};

struct Events {
    std::vector<AnyEvent> list;
    clap_input_events_t in{this, [](const clap_input_events_t* self) { return uint32_t(static_cast<Events*>(self->ctx)->list.size()); },
                           [](const clap_input_events_t* self, uint32_t i) { return &static_cast<const clap_event_header_t&>(static_cast<Events*>(self->ctx)->list[i].header); }};
    clap_output_events_t out{this, [](const clap_output_events_t*, const clap_event_header_t*) { return true; }};

    template <class T>
    T& add(T AnyEvent::*member, uint16_t type, uint32_t time)
    {
        AnyEvent event{};
        list.push_back(event);
        T& added = list.back().*member;
        added.header = {sizeof(T), time, CLAP_CORE_EVENT_SPACE_ID, type, 0};
        return added;
    }
    void midi(uint32_t time, uint8_t a, uint8_t b, uint8_t c)
    {
        auto& event = add(&AnyEvent::midi, CLAP_EVENT_MIDI, time);
        event.data[0] = a;
        event.data[1] = b;
        event.data[2] = c;
    }
    void value(uint32_t time, clap_id id, double to)
    {
        auto& event = add(&AnyEvent::value, CLAP_EVENT_PARAM_VALUE, time);
        event.param_id = id;
        event.note_id = event.port_index = event.channel = event.key = -1;
        event.value = to;
    }
};

clap_event_transport_t transport_at(double beat, double seconds, double tempo, bool playing, double loop_start = 0, double loop_end = 0)
{
    clap_event_transport_t t{};
    t.header = {sizeof(t), 0, CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_TRANSPORT, 0};
    t.flags = CLAP_TRANSPORT_HAS_TEMPO | CLAP_TRANSPORT_HAS_BEATS_TIMELINE | CLAP_TRANSPORT_HAS_SECONDS_TIMELINE | CLAP_TRANSPORT_HAS_TIME_SIGNATURE;
    t.flags |= (playing ? CLAP_TRANSPORT_IS_PLAYING : 0) | (loop_end > loop_start ? CLAP_TRANSPORT_IS_LOOP_ACTIVE : 0);
    t.song_pos_beats = std::llround(beat * CLAP_BEATTIME_FACTOR);
    t.song_pos_seconds = std::llround(seconds * CLAP_SECTIME_FACTOR);
    t.tempo = tempo;
    t.loop_start_beats = std::llround(loop_start * CLAP_BEATTIME_FACTOR);
    t.loop_end_beats = std::llround(loop_end * CLAP_BEATTIME_FACTOR);
    t.tsig_num = t.tsig_denom = 4;
    return t;
}

const void* no_extension(const clap_host_t*, const char*) { return nullptr; }
void nothing(const clap_host_t*) {}
const clap_host_t host{CLAP_VERSION_INIT, nullptr, "test", "test", "", "1", no_extension, nothing, nothing, nothing};

struct Plugin {
    const clap_plugin_t* plugin;
    const clap_plugin_params_t* params;
    const clap_plugin_state_t* state;
    uint32_t inputs;
    std::vector<float> buffers[4];
    long foul = 0;

    Plugin(const clap_plugin_factory_t* factory, const char* id, uint32_t inputs) : inputs(inputs)
    {
        plugin = factory->create_plugin(factory, &host, id);
        if (!plugin || !plugin->init(plugin)) {
            std::puts("no plugin");
            std::exit(2);
        }
        params = static_cast<const clap_plugin_params_t*>(plugin->get_extension(plugin, CLAP_EXT_PARAMS));
        state = static_cast<const clap_plugin_state_t*>(plugin->get_extension(plugin, CLAP_EXT_STATE));
        for (auto& buffer : buffers)
            buffer.resize(16384);
    }
    ~Plugin() { plugin->destroy(plugin); }

    const float* process(uint32_t n, const clap_event_transport_t* transport, Events& events, int64_t steady)
    {
        float* in[] = {buffers[0].data(), buffers[1].data()};
        float* out[] = {buffers[2].data(), buffers[3].data()};
        const clap_audio_buffer_t input{in, nullptr, 2, 0, 0};
        clap_audio_buffer_t output{out, nullptr, 2, 0, 0};
        const clap_process_t process{steady, n, transport, &input, &output, inputs ? 1u : 0u, 1, &events.in, &events.out};
        in_process = true;
        const auto status = plugin->process(plugin, &process);
        in_process = false;
        foul += status == CLAP_PROCESS_ERROR;
        for (uint32_t i = 0; i < n; ++i)
            foul += !(std::abs(out[0][i]) < 1e4f) || !(std::abs(out[1][i]) < 1e4f);
        return out[0];
    }

    std::string save() const
    {
        std::string bytes;
        const clap_ostream_t stream{&bytes, [](const clap_ostream_t* self, const void* data, uint64_t size) {
                                        static_cast<std::string*>(self->ctx)->append(static_cast<const char*>(data), size);
                                        return int64_t(size);
                                    }};
        state->save(plugin, &stream);
        return bytes;
    }
    bool load(const std::string& bytes) const
    {
        std::pair<const std::string*, size_t> at{&bytes, 0};
        const clap_istream_t stream{&at, [](const clap_istream_t* self, void* data, uint64_t size) {
                                        auto& from = *static_cast<std::pair<const std::string*, size_t>*>(self->ctx);
                                        const size_t n = std::min<size_t>(size, from.first->size() - from.second);
                                        std::memcpy(data, from.first->data() + from.second, n);
                                        from.second += n;
                                        return int64_t(n);
                                    }};
        return state->load(plugin, &stream);
    }
    double value(const char* name) const
    {
        for (uint32_t i = 0; i < params->count(plugin); ++i) {
            clap_param_info_t info{};
            double value = 0;
            if (params->get_info(plugin, i, &info) && !std::strcmp(info.name, name) && params->get_value(plugin, info.id, &value))
                return value;
        }
        return NAN;
    }
};

using Clock = std::chrono::steady_clock;

struct Render { // CLAP's extension "clap.render"
    bool (*is_hard)(const clap_plugin_t*);
    bool (*set)(const clap_plugin_t*, int32_t mode);
};

std::vector<uint32_t> sizes_of(const char* words)
{
    std::vector<uint32_t> sizes;
    for (std::istringstream list(words); list; list.ignore())
        if (uint32_t size = 0; list >> size && size > 0)
            sizes.push_back(size);
    return sizes;
}

int play(Plugin& it, double seconds, double rate, const std::vector<uint32_t>& sizes, double tempo, const char* path, bool offline)
{
    if (sizes.empty())
        return 2;
    const uint32_t largest = *std::max_element(sizes.begin(), sizes.end());
    const auto* render = static_cast<const Render*>(it.plugin->get_extension(it.plugin, "clap.render"));
    if (offline && (!render || render->is_hard(it.plugin) || !render->set(it.plugin, 1)))
        return 2;
    FILE* file = std::fopen(path, "wb");
    it.plugin->activate(it.plugin, rate, 1, largest);
    it.plugin->start_processing(it.plugin);
    Events events;
    const auto wait = Clock::now() + std::chrono::seconds(10);
    while (!offline && it.value("Link") != 2 && Clock::now() < wait) { // the DAW is stopped until the link lives
        const auto still = transport_at(0, 0, tempo, false);
        it.process(largest, &still, events, 0);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const auto began = Clock::now();
    size_t turn = 0;
    for (int64_t frame = 0, block = 0; frame < seconds * rate; frame += block) {
        block = sizes[turn++ % sizes.size()];
        const double beat = double(frame) / rate * tempo / 60, next = double(frame + block) / rate * tempo / 60;
        const auto transport = transport_at(beat, double(frame) / rate, tempo, true);
        events.list.clear();
        events.list.reserve(64);
        if (beat <= 1.5 && next > 1.5) {
            const auto offset = uint32_t(std::ceil((1.5 - beat) * 60 / tempo * rate));
            auto& note = events.add(&AnyEvent::note, CLAP_EVENT_NOTE_ON, offset);
            note.channel = 2;
            note.key = offline ? 36 : 61;
            note.velocity = 100.0 / 127;
            events.midi(offset, 0xB2, 74, 33);
        }
        for (uint32_t i = 0; i < block; ++i)
            it.buffers[0][i] = it.buffers[1][i] = (frame + i) % 4800 == 100 ? 0.5f : 0.0f;
        const float* out = it.process(uint32_t(block), &transport, events, frame);
        std::fwrite(out, 4, size_t(block), file);
        if (!offline)
            std::this_thread::sleep_until(began + std::chrono::duration<double>(double(frame + block) / rate));
    }
    const auto* latency = static_cast<const clap_plugin_latency_t*>(it.plugin->get_extension(it.plugin, CLAP_EXT_LATENCY));
    std::printf("link %g\nunderruns %g\nlatency %u\n", it.value("Link"), it.value("Underruns"), latency ? latency->get(it.plugin) : 0);
    it.plugin->stop_processing(it.plugin);
    it.plugin->deactivate(it.plugin);
    std::fclose(file);
    return 0;
}

// A song at 120 bpm in real time, in blocks of 512.
struct Song {
    Plugin& it;
    double rate = 48000;
    int64_t frame = 0;
    Clock::time_point due = Clock::now();

    // The next block; how many of its samples are not silent.
    long block(Events& events)
    {
        const double seconds = double(frame) / rate;
        const auto transport = transport_at(seconds * 2, seconds, 120, true);
        const float* out = it.process(512, &transport, events, frame);
        frame += 512;
        due = std::max(due + std::chrono::nanoseconds(std::llround(512e9 / rate)), Clock::now() - std::chrono::milliseconds(20));
        std::this_thread::sleep_until(due);
        return std::count_if(out, out + 512, [](float sample) { return sample != 0; });
    }

    // Until the link lives and a tenth of a second of music was heard; false when that does not come.
    bool sounds()
    {
        long heard = 0;
        const auto end = Clock::now() + std::chrono::seconds(20);
        for (Events none; Clock::now() < end;) {
            heard += block(none);
            if (heard > rate / 10 && it.value("Link") == 2)
                return true;
        }
        return false;
    }
};

int change_rates(Plugin& it, bool active, char** rates)
{
    Song song{it};
    int sounding = 0;
    for (int turn = 0; rates[turn]; ++turn) {
        const double rate = std::atof(rates[turn]), seconds = double(song.frame) / song.rate;
        if (turn && !active) {
            it.plugin->stop_processing(it.plugin);
            it.plugin->deactivate(it.plugin);
        }
        it.plugin->activate(it.plugin, rate, 1, 512);
        it.plugin->start_processing(it.plugin);
        song.rate = rate;
        song.frame = std::llround(seconds * rate);
        sounding += song.sounds();
    }
    std::printf("sounding %d\n", sounding);
    it.plugin->stop_processing(it.plugin);
    it.plugin->deactivate(it.plugin);
    return 0;
}

int crowd(Plugin& it, uint32_t n)
{
    it.plugin->activate(it.plugin, 48000, 1, 512);
    it.plugin->start_processing(it.plugin);
    Song song{it};
    int sounding = song.sounds();
    Events events;
    events.list.reserve(n);
    for (uint32_t i = 0; i < n; ++i)
        events.midi(i * 512 / n, 0x90, uint8_t(i % 128), 100);
    song.block(events);
    sounding &= song.sounds();
    Events last;
    last.midi(0, 0x90, 5, 77);
    song.block(last);
    sounding &= song.sounds();
    std::printf("sounding %d\nlink %g\n", sounding, it.value("Link"));
    it.plugin->stop_processing(it.plugin);
    it.plugin->deactivate(it.plugin);
    return 0;
}

int abuse(const clap_plugin_factory_t* factory, const char* id, uint32_t inputs, Plugin& it, double seconds, uint32_t seed)
{
    std::mt19937 random(seed);
    const auto upto = [&](uint32_t n) { return uint32_t(random() % n); };
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    int unlike = 0, blocks = 0, taken = 0;
    for (int round = 0; Clock::now() < end; ++round) {
        const double rate = (const double[]){22050, 44100, 48000, 88200, 96000, 192000}[upto(6)];
        it.plugin->activate(it.plugin, rate, 1, 1 + upto(4096));
        it.plugin->start_processing(it.plugin);
        Plugin other(factory, id, inputs); // a DAW has several, and looks at some without using them
        for (int i = 0; i < 200 && Clock::now() < end; ++i, ++blocks) {
            const uint32_t n = upto(4) ? 1 + upto(512) : 1 + upto(16384); // also larger than it was told
            Events events;
            events.list.reserve(4096);
            const uint32_t n_events = upto(10) ? upto(4) : upto(3000);
            for (uint32_t k = 0; k < n_events; ++k) {
                const uint32_t at = n_events * n ? k * n / n_events : 0;
                switch (upto(5)) {
                case 0: events.midi(at, uint8_t(upto(256)), uint8_t(upto(256)), uint8_t(upto(256))); break;
                case 1: events.value(at, upto(40), double(upto(1000)) / 3); break;
                case 2: events.add(&AnyEvent::transport, CLAP_EVENT_TRANSPORT, at) = transport_at(upto(100), upto(100), upto(300), true); break;
                case 3: events.add(&AnyEvent::note, uint16_t(upto(2) ? CLAP_EVENT_NOTE_ON : CLAP_EVENT_NOTE_CHOKE), at).key = int16_t(upto(200)) - 20; break;
                case 4: events.midi(at, 0xFF, 0xFF, 0xFF); break;
                }
            }
            auto transport = transport_at(double(upto(100000)) / 7 - 100, double(upto(100000)) / 7 - 100, upto(5) ? 120 : double(upto(2000)) - 500, upto(2), upto(16), upto(16));
            transport.tsig_num = uint16_t(upto(3) ? 4 : upto(300));
            transport.tsig_denom = uint16_t(upto(3) ? 4 : upto(300));
            transport.flags = upto(4) ? transport.flags : random();
            it.process(n, upto(5) ? &transport : nullptr, events, upto(3) ? int64_t(upto(1000000)) : -1);
        }
        (void)it.load(it.save());
        it.plugin->stop_processing(it.plugin);
        for (int storm = 0; storm < 5; ++storm) {
            it.plugin->deactivate(it.plugin);
            it.plugin->activate(it.plugin, 48000, 1, 512);
        }
        it.plugin->deactivate(it.plugin); // while it is active, what it learns of a host may change its state
        const std::string state = it.save();
        unlike += !it.load(state) || it.save() != state;
        for (int k = 0; k < 3; ++k) {
            std::string foreign(1 << 20, 0);
            for (char& c : foreign)
                c = char(random());
            if (k == 1)
                foreign = state.substr(0, upto(uint32_t(state.size()) + 1)) + foreign;
            if (k == 2)
                foreign = state.substr(0, upto(uint32_t(state.size()) + 1));
            taken += it.load(foreign);
            unlike += k == 0 && it.save() != state;
        }
        unlike += !it.load(state) || it.save() != state;
    }
    std::printf("blocks %d\nunlike %d\nforeign_taken %d\n", blocks, unlike, taken);
    return unlike;
}

} // namespace

int main(int argc, char** argv)
{
    if (argc < 4 || (argc < 8 && (!std::strcmp(argv[2], "play") || !std::strcmp(argv[2], "bounce"))))
        return 2;
    void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        std::puts(dlerror());
        return 2;
    }
    const auto* entry = static_cast<const clap_plugin_entry_t*>(dlsym(library, "clap_entry"));
    entry->init(argv[1]);
    const auto* factory = static_cast<const clap_plugin_factory_t*>(entry->get_factory(CLAP_PLUGIN_FACTORY_ID));
    const char* id = factory->get_plugin_descriptor(factory, 0)->id;
    const uint32_t inputs = std::strstr(id, "effect") ? 2 : 0;
    int result = 0;
    {
        Plugin it(factory, id, inputs);
        const std::string what = argv[2];
        if (what == "rates")
            result = change_rates(it, !std::strcmp(argv[3], "active"), argv + 4);
        else if (what == "crowd")
            result = crowd(it, uint32_t(std::atoi(argv[3])));
        else if (what == "abuse")
            result = argc > 4 ? abuse(factory, id, inputs, it, std::atof(argv[3]), uint32_t(std::atoi(argv[4]))) : 2;
        else
            result = play(it, std::atof(argv[3]), std::atof(argv[4]), sizes_of(argv[5]), std::atof(argv[6]), argv[7], what == "bounce");
        std::printf("foul %ld\nallocations %ld\n", it.foul, allocations.load());
        result |= it.foul || allocations.load();
    }
    entry->deinit();
    dlclose(library);
    return result;
}
