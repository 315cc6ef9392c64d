#pragma once

#include "core/period.h"
#include "core/wall_clock.h"

#include <cstdint>

namespace pgcleanup::core {

// Times that come again and again, numbered in order.
class Recurrence {
public:
    Recurrence() = default;
    virtual ~Recurrence() = default;
    Recurrence(const Recurrence&) = delete;
    Recurrence& operator=(const Recurrence&) = delete;

    // The first of the times that is later than `after`.
    Instant next_after(Instant after) const { return time(latest_index(after) + 1); }
    // The last of the times that is not later than `until`; only if count(..., until) says that there is one.
    Instant latest(Instant until) const { return time(latest_index(until)); }
    // How many of the times are later than `after`, and not later than `until`.
    std::int64_t count(Instant after, Instant until) const;

private:
    // The n-th time; never earlier than the one before.
    virtual Instant time(std::int64_t n) const = 0;
    // A number whose time is near; the nearer, the faster.
    virtual std::int64_t estimate(Instant instant) const = 0;
    // The times begin with the one after this number.
    virtual std::int64_t origin() const = 0;
    std::int64_t latest_index(Instant until) const;
};

// Each day at a time of day (less than or equal to 24 hours) on the wall clock of a zone, exactly once: when the clock
// shows it for the first time, or jumps over it.
class Daily : public Recurrence {
public:
    Daily(std::chrono::microseconds time_of_day, Zone zone) : time_of_day_(time_of_day), zone_(std::move(zone)) {}

private:
    Instant time(std::int64_t day) const override;
    std::int64_t estimate(Instant instant) const override;
    std::int64_t origin() const override;
    std::chrono::microseconds time_of_day_;
    Zone zone_;
};

// The period after the anchor, twice the period after it, and so on: months and days by the calendar of the zone (the
// 31st becomes the last of a shorter month), the rest as time that passes. No part of the period may be negative.
class Every : public Recurrence {
public:
    Every(Period period, Instant anchor, Zone zone) : period_(period), anchor_(anchor), zone_(std::move(zone)) {}

private:
    Instant time(std::int64_t n) const override;
    std::int64_t estimate(Instant instant) const override;
    std::int64_t origin() const override { return 0; }
    Period period_;
    Instant anchor_;
    Zone zone_;
};

enum class EveryCheck {
    ok,
    negative, // or of mixed signs
    too_short,
    too_long, // more than ten years
};
// Whether a period may be used for Every: at least a minute.
EveryCheck check_every(const Period& period);

} // namespace pgcleanup::core
