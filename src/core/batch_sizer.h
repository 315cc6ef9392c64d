#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace pgcleanup::core {

// Chooses how much the next batch should take on, so that a batch lasts about as long as the target.
//
// A unit is whatever the caller counts (blocks, rows); the sizer never mixes two kinds, so use one sizer per kind.
// Knows no clock: the caller measures. Arguments outside their domain are moved into it: a target or minimum below one
// becomes one, a maximum below the minimum becomes the minimum, and the initial size is clamped between the two.
class BatchSizer {
public:
    BatchSizer(std::chrono::microseconds target, std::int64_t initial, std::int64_t minimum, std::int64_t maximum);

    // The size for the next batch, always within [minimum, maximum].
    [[nodiscard]] std::int64_t next() const { return size_; }

    // Learns from a batch that did `units` in `took`. The size at most doubles; when batches last too long it shrinks
    // in proportion, while a single slow batch after normal ones costs at most six tenths of the size.
    // A batch without units teaches nothing; a duration of zero or less (a clock that jumped) counts as a microsecond.
    void record(std::int64_t units, std::chrono::microseconds took);

    // Halves the size, not below the minimum: for a batch that was undone by a lock or an error, and has no duration.
    void shrink();

private:
    [[nodiscard]] std::int64_t affordable(double cost) const;
    [[nodiscard]] std::int64_t doubled() const;

    std::chrono::microseconds target_;
    std::int64_t minimum_;
    std::int64_t maximum_;
    std::int64_t size_;
    std::optional<double> cost_; // smoothed microseconds per unit; none before the first batch
};

} // namespace pgcleanup::core
