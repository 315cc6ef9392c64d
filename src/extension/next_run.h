// When a schedule runs next, and what keeps it from running at all.
#pragma once

#include "extension/policy.h"
#include "extension/schedule.h"

namespace pgcleanup {

// Nothing when no run will come by itself as things are: the policy is disabled, nobody keeps schedules here.
std::optional<core::Instant> next_run(const Schedule& schedule);

// The same for policies: of its own schedule and the one for every policy, whichever comes first.
class NextRuns {
public:
    NextRuns(pg::Spi& spi, const pg::Extension& extension);
    std::optional<core::Instant> of(const Policy& policy) const;

private:
    std::vector<Schedule> schedules_;
};

// Why schedules of the kinds at and every do not run in this database, with what to do about it; nothing: they do.
struct Obstacle {
    std::string what;
    std::string remedy;
};
std::optional<Obstacle> launcher_obstacle();

// The name of this database.
std::string database_name();

// "ALTER SYSTEM SET shared_preload_libraries = '...'" with what is set now and one library more.
std::string preload_statement(std::string_view library);

} // namespace pgcleanup
