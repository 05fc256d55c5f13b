// The effect's input as melody clips: into the last minute's ring, and word of the clips that begin and end in it.
#pragma once

#include <atomic>
#include <cstdint>

#include "parameters.h"
#include "says.h"

namespace descant {

// Thread: audio, all of it.
class Clips {
public:
    Clips(Shared& shared, Report& report, Says& says, double sample_rate, uint32_t inputs)
        : shared_(shared), report_(report), says_(says), sample_rate_(sample_rate), inputs_(inputs)
    {
    }

    // Whether a MIDI event is of the key that arms, and so no pad. arm_note: 0: none; n: key n - 1.
    bool takes(const MidiEvent& event, uint32_t arm_note) noexcept;

    // A block of input from sample `at` on, and the clips that begin or end in it. known: whether the transport is.
    void record(const float* const* in, uint32_t n, int64_t at, bool known, const Transport& transport, const std::atomic<float>* parameters) noexcept;

    // The last minute as a clip, from a bar line of the song on where there is one.
    void take_last(int64_t at, bool known, const Transport& transport) noexcept;

private:
    Shared& shared_;
    Report& report_;
    Says& says_;
    const double sample_rate_;
    const uint32_t inputs_;
    ClipClock clock_;
    uint32_t number_ = 0; // of the latest clip
    bool key_arms_ = false;
};

} // namespace descant
