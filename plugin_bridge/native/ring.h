// Two lock-free rings between exactly two threads: small records, and blocks of audio.
//
// Contract. One thread produces, one other consumes; nothing here waits, locks or allocates after construction.
// - Full: the producer's call says no and changes nothing; it counts or tries again, as it likes.
// - Empty: the consumer's call says no.
// - Only the consumer discards. What was produced before is seen before (release, acquire).
// Counters run on for ever (64 bits); positions in memory are counters modulo the size.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace descant {

// Records of one type. size: how many fit.
template <class T>
class Ring {
public:
    explicit Ring(size_t size) : size_(size), items_(new T[size]) {}

    // Thread: producer.
    bool push(const T& item) noexcept
    {
        const uint64_t at = written_.load(std::memory_order_relaxed);
        if (at - read_.load(std::memory_order_acquire) == size_)
            return false;
        items_[at % size_] = item;
        written_.store(at + 1, std::memory_order_release);
        return true;
    }

    // Thread: consumer. The oldest record, or nothing; it stays until `pop`.
    const T* front() const noexcept
    {
        const uint64_t at = read_.load(std::memory_order_relaxed);
        return at == written_.load(std::memory_order_acquire) ? nullptr : &items_[at % size_];
    }

    // Thread: consumer, after `front` gave something.
    void pop() noexcept { read_.store(read_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

private:
    const size_t size_;
    const std::unique_ptr<T[]> items_;
    alignas(64) std::atomic<uint64_t> written_{0};
    alignas(64) std::atomic<uint64_t> read_{0};
};

// One block of audio at its address, or word that the host counts its epochs afresh (n_samples 0).
struct AudioBlock {
    int64_t at_sample = 0;
    uint32_t epoch = 0;
    uint32_t channels = 0;
    uint32_t n_samples = 0;
    uint64_t start = 0; // of its floats, a counter; planar [channels][n_samples], never wrapped
    uint64_t end = 0;
};

// Blocks of audio of any length. n_floats: memory for samples; n_blocks: how many blocks may wait.
class BlockRing {
public:
    BlockRing(size_t n_floats, size_t n_blocks) : n_floats_(n_floats), floats_(new float[n_floats]), blocks_(n_blocks) {}

    // Thread: producer. Room for channels * n_samples floats in one piece, or nothing; then fill it and `commit`.
    float* begin(AudioBlock& block) noexcept
    {
        const uint64_t n = uint64_t(block.channels) * block.n_samples;
        uint64_t start = written_;
        if (start % n_floats_ + n > n_floats_)
            start += n_floats_ - start % n_floats_;
        if (n > n_floats_ || start + n - freed_.load(std::memory_order_acquire) > n_floats_)
            return nullptr;
        block.start = start;
        block.end = start + n;
        return &floats_[start % n_floats_];
    }

    // Thread: producer.
    bool commit(const AudioBlock& block) noexcept
    {
        if (!blocks_.push(block))
            return false;
        if (block.n_samples)
            written_ = block.end;
        return true;
    }

    // Thread: consumer. The oldest block, or nothing; it stays until `pop`.
    const AudioBlock* front() const noexcept { return blocks_.front(); }
    const float* samples(const AudioBlock& block) const noexcept { return &floats_[block.start % n_floats_]; }

    // Thread: consumer.
    void pop() noexcept
    {
        const AudioBlock* block = blocks_.front();
        if (block->n_samples)
            freed_.store(block->end, std::memory_order_release);
        blocks_.pop();
    }

private:
    const size_t n_floats_;
    const std::unique_ptr<float[]> floats_;
    Ring<AudioBlock> blocks_;
    uint64_t written_ = 0; // the producer's own
    alignas(64) std::atomic<uint64_t> freed_{0};
};

} // namespace descant
