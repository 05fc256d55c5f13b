// Blocks that have come over the network, placed in the playout ring. Thread: audio.
#pragma once

#include <cstdint>

#include "playout.h"
#include "ring.h"

namespace descant {

// After `most` samples the rest waits for the next turn.
inline void take_blocks(BlockRing& blocks, Playout& playout, int64_t most) noexcept
{
    while (most > 0) {
        const AudioBlock* block = blocks.front();
        if (!block)
            return;
        if (block->n_samples == 0)
            playout.forget_epochs();
        else
            playout.place(block->at_sample, block->epoch, blocks.samples(*block), block->channels, block->n_samples, block->n_samples);
        most -= block->n_samples;
        blocks.pop();
    }
}

} // namespace descant
