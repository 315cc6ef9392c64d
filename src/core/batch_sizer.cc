#include "core/batch_sizer.h"

#include <algorithm>

namespace pgcleanup::core {

namespace {

using std::chrono::microseconds;

// Half the old and half the new: recovers from a slow start as fast as doubling allows.
constexpr double weight_of_new_sample = 0.5;

// A sample counts as at most this many times the smoothed cost, so that one stall (a checkpoint, a lock) does not throw
// away what was learnt; a lasting slowdown still arrives within a few batches, each 2.5 times smaller than the last.
constexpr double largest_jump = 4.0;

double smoothed(double old_cost, double sample)
{
    const double bounded = std::min(sample, old_cost * largest_jump);
    return old_cost + (bounded - old_cost) * weight_of_new_sample;
}

} // namespace

BatchSizer::BatchSizer(microseconds target, std::int64_t initial, std::int64_t minimum, std::int64_t maximum)
    : target_(std::max(target, microseconds{1})), minimum_(std::max<std::int64_t>(minimum, 1)),
      maximum_(std::max(maximum, minimum_)), size_(std::clamp(initial, minimum_, maximum_))
{
}

void BatchSizer::record(std::int64_t units, microseconds took)
{
    if (units <= 0) {
        return;
    }
    const auto duration = static_cast<double>(std::max(took, microseconds{1}).count());
    const double sample = duration / static_cast<double>(units);
    cost_ = cost_ ? smoothed(*cost_, sample) : sample;
    size_ = std::max(std::min(affordable(*cost_), doubled()), minimum_);
}

void BatchSizer::shrink()
{
    size_ = std::max(size_ / 2, minimum_);
}

// How many units fit into the target at this cost, not above the maximum.
std::int64_t BatchSizer::affordable(double cost) const
{
    const double units = static_cast<double>(target_.count()) / cost;
    // Compared before the conversion: a double beyond int64 would be undefined behaviour.
    return units >= static_cast<double>(maximum_) ? maximum_ : static_cast<std::int64_t>(units);
}

std::int64_t BatchSizer::doubled() const
{
    return size_ > maximum_ / 2 ? maximum_ : size_ * 2;
}

} // namespace pgcleanup::core
