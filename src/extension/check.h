// cleanup_check: one row per finding, and one "ok" per topic that has none.
#pragma once

#include "extension/calls.h"
#include "extension/stats.h"

namespace pgcleanup {

enum class CheckStatus { ok, warning, error };

// Collects what the topics find. A topic reports each thing that somebody should look at under its name, then calls
// otherwise_ok(), which says that all is well if nothing was.
class CheckReport {
public:
    void add(CheckStatus status, std::string name, std::string detail, std::string hint = {});
    void otherwise_ok(const std::string& name, std::string detail);
    // As cells of cleanup_check_result, in the order of the topics.
    const std::vector<std::vector<pg::Cell>>& rows() const noexcept { return rows_; }

private:
    std::vector<std::vector<pg::Cell>> rows_;
};

// Whether the library is that of the installed extension.
void check_version(const pg::Extension& extension, CheckReport& report);
// The server and the extension as a whole: pause, worker slots, dead runs, history.
void check_server(pg::Spi& spi, const pg::Extension& extension, CheckReport& report);
// What keeps schedules: the launcher.
void check_schedules(pg::Spi& spi, const pg::Extension& extension, CheckReport& report);
// Each policy: whether it can run, how its last run went, how far behind it is.
void check_policies(const pg::Extension& extension, const std::vector<PolicyStats>& policies, CheckReport& report);
// Each policy: whether its runs keep up with its table.
void check_backlog(pg::Spi& spi, const pg::Extension& extension, const std::vector<PolicyStats>& policies,
                   CheckReport& report);
// What keeps the space of deleted rows from being used again.
void check_space(pg::Spi& spi, const pg::Extension& extension, const std::vector<PolicyStats>& policies,
                 CheckReport& report);
// Grants that are not in force, or that lack their privileges.
void check_grants(pg::Spi& spi, const pg::Extension& extension, CheckReport& report);
// Each target: what makes cleaning it slow or risky.
void check_targets(pg::Spi& spi, const pg::Extension& extension, const std::vector<PolicyStats>& policies,
                   CheckReport& report);

} // namespace pgcleanup
