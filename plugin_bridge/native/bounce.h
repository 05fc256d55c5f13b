// The DAW's offline bounce: here alone the audio thread waits, for a session of the bounce's own, for room, for audio.
//
// Nothing is dropped then, and the same song gives the same samples. When the host does not answer for `patience` seconds the
// bounce has failed: `Report::bounce` says so, and nothing waits any more until the next one begins.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

#include "intake.h"
#include "shared.h"

namespace descant {

// Thread: audio, all of it.
class Bounce {
public:
    Bounce(Shared& shared, Report& report, Playout& playout);

    double patience; // seconds; DESCANT_PATIENCE, otherwise 30

    bool running() const noexcept { return report_.bounce.load(std::memory_order_relaxed) == Report::RUNNING; }

    // From here on by a session of its own, from sample 0. push_jump: as Says::push_jump; jumps: how many there were.
    template <class PushJump> void begin(uint32_t jumps, PushJump push_jump) noexcept
    {
        report_.bounce = Report::RUNNING;
        playout_.empty(0);
        shared_.place.store(Place::pack(0, jumps), std::memory_order_release);
        const uint32_t turn = shared_.turns.fetch_add(1, std::memory_order_release) + 1;
        await(push_jump);
        await([&] { return shared_.turned.load(std::memory_order_acquire) == turn; });
        take_blocks(shared_.blocks, playout_, INT64_MAX);
        playout_.empty(0);
    }
    void end() noexcept;

    // Music plays live again: that a bounce failed has been seen.
    void forgive() noexcept
    {
        uint32_t failed = Report::FAILED;
        report_.bounce.compare_exchange_strong(failed, Report::NONE);
    }

    // The next n samples once all of them have come, a part of the ring after the other. push: as Says::push.
    // welcomes: of the session with which it began; another makes something else.
    template <class Push> void read(float* const* out, uint32_t n, uint32_t welcomes, Push push) noexcept
    {
        const auto most = uint32_t(shared_.ring_samples / 2);
        float* at[DESCANT_MAX_CHANNELS];
        for (uint32_t done = 0; done < n;) {
            const uint32_t part = std::min(n - done, most);
            for (uint32_t c = 0; c < shared_.channels; ++c)
                at[c] = out[c] + done;
            Event event;
            event.kind = Event::SYNC;
            event.index = ++asked_;
            event.at_sample = playout_.playhead;
            event.amount = double(part + playout_.fade);
            const auto anew = [&] { return shared_.welcomes.load(std::memory_order_acquire) != welcomes; };
            await([&] { return push(event); });
            await([&] { return anew() || shared_.answered.load(std::memory_order_acquire) == asked_; });
            if (anew())
                report_.bounce = Report::FAILED; // another session: what it makes is not what was begun
            take_blocks(shared_.blocks, playout_, INT64_MAX);
            playout_.read(at, part);
            done += part;
        }
    }

    // Wait until it has come; false once `patience` has passed: then the bounce has failed, and whoever calls next need not
    // wait. That a host lives is no answer.
    template <class Condition> bool await(Condition come) noexcept
    {
        using Clock = std::chrono::steady_clock;
        const auto began = Clock::now();
        while (running()) {
            if (come())
                return true;
            take_blocks(shared_.blocks, playout_, INT64_MAX);
            if (std::chrono::duration<double>(Clock::now() - began).count() > patience)
                report_.bounce = Report::FAILED;
            else
                std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        return false;
    }

private:
    Shared& shared_;
    Report& report_;
    Playout& playout_;
    uint32_t asked_ = 0; // how often
};

} // namespace descant
