// A policy's schedule: as it is stored, and when it is due.
#pragma once

#include "core/schedule_decision.h"
#include "pg/identity.h"
#include "pg/spi.h"

namespace pgcleanup {

enum class ScheduleKind { at, every, cron };

struct Schedule {
    std::int64_t id = 0;
    std::int64_t policy_id = 0; // 0: every enabled policy
    std::string policy;         // its name, or '*'
    Oid target = InvalidOid;
    bool enabled = true; // the policy is
    ScheduleKind kind = ScheduleKind::at;
    std::chrono::microseconds at{};
    core::Period every;
    std::string cron;
    std::optional<std::string> run_window; // its own; else the database's counts
    std::string time_zone;                 // of the policy, or its own for every policy
    std::string job_name;
    std::string created_by;
    core::Instant anchor;
    std::optional<core::ScheduleState> state; // nothing: not looked at since it was loaded from a dump
    std::optional<std::int64_t> last_run;
};

// As the extension's owner; `spi` must be open. The locked one stays so until the transaction's end.
std::vector<Schedule> all_schedules(pg::Spi& spi, const pg::Extension& extension);
std::optional<Schedule> lock_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t id);
// Nothing, too, while somebody changes it.
std::optional<Schedule> lock_free_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t id);
std::optional<Schedule> find_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id);

// The clock by which schedules are kept: the wall clock, unless a test has moved it.
core::Instant schedule_now();

core::Instant to_instant(TimestampTz time);
TimestampTz to_timestamp(core::Instant instant);

// The times of a schedule of kind at or every.
class ScheduleTimes {
public:
    explicit ScheduleTimes(const Schedule& schedule);
    core::ScheduleDecision decide(const core::ScheduleContext& context) const;
    std::int64_t count(core::Instant after, core::Instant until) const { return times_->count(after, until); }
    // When the window that is open at this moment closes; nothing: there is no window.
    std::optional<core::Instant> closes_at(core::Instant inside) const;

private:
    core::Zone zone_;
    std::optional<core::RunWindow> window_;
    std::unique_ptr<core::Recurrence> times_;
    core::ScheduleState state_;
};

// Why a schedule cannot be kept as it is stored; nothing: it can. Uses a subtransaction.
std::optional<std::string> fault_of(const Schedule& schedule);

// The offsets of a time zone; raises invalid_parameter_value for an unknown one.
core::Zone zone_named(const std::string& name);
// Its own, or else the database's; raises invalid_parameter_value for one that is no window, as a statement by hand may
// have left it: it must not stand for any time.
std::optional<core::RunWindow> window_of(const Schedule& schedule);

} // namespace pgcleanup
