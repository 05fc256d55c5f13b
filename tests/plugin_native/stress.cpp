// The core under stress with a real host: an audio thread that reads in odd blocks, jumps, plays and turns every knob
// while another starts and stops the link; counts what is allocated inside `process`. For sanitizer builds, too.
//
//   stress SECONDS SEED: the host is DESCANT_ENDPOINT. Prints lines of counts; exit 0 if none was allocated.

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "core.h"

using namespace descant;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
static const bool counting = false;
static thread_local bool in_process = false;
static std::atomic<long> allocations{0};
#else
static const bool counting = true;
static thread_local bool in_process = false;
static std::atomic<long> allocations{0};
extern "C" void* __libc_malloc(size_t);
extern "C" void __libc_free(void*);
extern "C" void* __libc_realloc(void*, size_t);
extern "C" void* __libc_calloc(size_t, size_t);
extern "C" void* malloc(size_t n)
{
    allocations += in_process;
    return __libc_malloc(n);
}
extern "C" void free(void* p)
{
    allocations += in_process;
    __libc_free(p);
}
extern "C" void* realloc(void* p, size_t n)
{
    allocations += in_process;
    return __libc_realloc(p, n);
}
extern "C" void* calloc(size_t n, size_t size)
{
    allocations += in_process;
    return __libc_calloc(n, size);
}
#endif

int main(int argc, char** argv)
{
    const double seconds = argc > 1 ? std::atof(argv[1]) : 5;
    std::mt19937 mine(argc > 2 ? std::atoi(argv[2]) : 1), others(mine());
    const auto maybe = [&](uint32_t n) { return uint32_t(mine() % n); };   // of the main thread
    const auto upto = [&](uint32_t n) { return uint32_t(others() % n); };  // of the audio thread
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    long blocks = 0, sounding = 0, wrong = 0, received = 0;
    while (Clock::now() < end) {
        const double rate = (const double[]){44100, 48000, 96000}[maybe(3)];
        auto core = std::make_unique<Core>(rate, 512, 2, "stress", 2);
        std::atomic<float> values[N_INPUTS];
        for (uint32_t i = 0; i < N_INPUTS; ++i)
            values[i].store(PARAMETERS[i].otherwise);
        core->activate();
        std::atomic<bool> done{false};
        std::thread audio([&] {
            std::vector<float> left(8192), right(8192);
            std::vector<MidiEvent> events(10000);
            float* out[] = {left.data(), right.data()};
            SongTime song;
            song.has_frame = song.has_beat = true;
            int64_t frame = 0;
            while (!done) {
                const uint32_t n = upto(20) == 0 ? 1 + upto(8192) : 1 + upto(512);
                if (upto(200) == 0)
                    song.playing = !song.playing;
                if (upto(300) == 0)
                    frame = int64_t(upto(10000000)) - 1000;
                if (upto(300) == 0)
                    song.tempo = upto(4) ? 60 + upto(120) : upto(2) ? 0 : 1e308;
                song.known = upto(500) != 0;
                song.tells_loop = upto(2);
                song.looping = upto(2);
                song.loop_end = upto(16);
                song.frame = frame;
                song.beat = double(frame) / rate * song.tempo / 60;
                uint32_t n_events = upto(20) == 0 ? upto(8) : upto(5000) == 0 ? 10000 : 0;
                for (uint32_t i = 0; i < n_events; ++i)
                    events[i] = {upto(9000), upto(4), {uint8_t(0x80 + upto(128)), uint8_t(upto(256)), uint8_t(upto(256))}};
                if (upto(50) == 0) {
                    const uint32_t i = upto(N_INPUTS);
                    const float part = float(upto(1000)) / 1000;
                    if (i != SEED || upto(50) == 0)
                        values[i].store(PARAMETERS[i].low + part * (PARAMETERS[i].high - PARAMETERS[i].low));
                }
                in_process = true;
                core->process(out, out, n, song, events.data(), n_events, values);
                in_process = false;
                for (uint32_t i = 0; i < n; ++i) {
                    wrong += !(std::abs(left[i]) < 1e4f);
                    sounding += left[i] != 0;
                }
                if (song.playing)
                    frame += n;
                ++blocks;
                std::this_thread::sleep_for(std::chrono::microseconds(int64_t(n / rate * 1e6 / 2)));
            }
        });
        const auto stop = Clock::now() + std::chrono::milliseconds(300 + maybe(1500));
        while (Clock::now() < stop && Clock::now() < end) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            (void)core->link.settings();
            (void)core->link.words();
            if (maybe(30) == 0) {
                core->deactivate();
                core->activate();
            }
        }
        done = true;
        audio.join();
        core->deactivate();
        received += core->report.blocks;
    }
    std::printf("blocks %ld\nsounding %ld\nreceived %ld\nwrong %ld\nallocations %ld\ncounted %d\n", blocks, sounding, received, wrong, allocations.load(), counting);
    return allocations || wrong;
}
