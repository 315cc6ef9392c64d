#include "extension/check.h"

#include "extension/arguments.h"
#include "extension/rights.h"
#include "pg/result_set.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

const char* status_word(CheckStatus status)
{
    switch (status) {
    case CheckStatus::ok:
        return "ok";
    case CheckStatus::warning:
        return "warning";
    case CheckStatus::error:
        break;
    }
    return "error";
}

void check_what_is_installed(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    const std::vector<PolicyStats> policies = policy_stats(spi, extension, every_policy, GetUserId());
    check_server(spi, extension, report);
    check_schedules(spi, extension, report);
    if (Rights(spi, extension, GetUserId()).may_with_every_policy(Right::see))
        check_grants(spi, extension, report);
    check_space(spi, extension, policies, report);
    check_policies(extension, policies, report);
    check_backlog(spi, extension, policies, report);
    check_targets(spi, extension, policies, report);
}

// Of another version only that is said: its tables may be others than those that are looked at here.
void cleanup_check(FunctionCallInfo fcinfo)
{
    const pg::ResultSet result(fcinfo);
    pg::Spi spi;
    const pg::Extension extension = pg::extension_of_any_version();
    CheckReport report;
    check_version(extension, report);
    if (extension.version == pg::library_version())
        check_what_is_installed(spi, extension, report);
    for (const std::vector<pg::Cell>& row : report.rows())
        result.row(row);
}

} // namespace

void CheckReport::add(CheckStatus status, std::string name, std::string detail, std::string hint)
{
    rows_.push_back({std::move(name), status_word(status), std::move(detail),
                     hint.empty() ? std::nullopt : pg::Cell(std::move(hint))});
}

void CheckReport::otherwise_ok(const std::string& name, std::string detail)
{
    if (std::ranges::none_of(rows_, [&](const std::vector<pg::Cell>& row) { return row[0] == name; }))
        add(CheckStatus::ok, name, std::move(detail));
}

} // namespace pgcleanup

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_check);
Datum cleanup_check(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::cleanup_check(fcinfo);
        return static_cast<Datum>(0);
    });
}
}
