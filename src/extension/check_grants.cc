// Grants that are not what they seem.
#include "extension/check.h"
#include "extension/grants.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

std::string statement(const pg::Extension& extension, const char* function, const Grant& grant)
{
    return pg::concat("SELECT ", extension.schema_name, ".", function, "(", pg::quote_literal(grant.role), ", ",
                      pg::quote_literal(grant.level),
                      grant.policy ? pg::concat(", ", pg::quote_literal(*grant.policy)) : "", ");");
}

void check_one(pg::Spi& spi, const pg::Extension& extension, const Grant& grant, CheckReport& report)
{
    const std::string what = pg::concat("role \"", grant.role, "\", ", grant_text(grant), ": ");
    if (!grant.is_in_force()) {
        report.add(CheckStatus::warning, "grants",
                   pg::concat(what, "not in force: ",
                              OidIsValid(grant.bound_role) ? "that role was dropped"
                                                           : "that role was not there when the grant was restored"),
                   pg::concat(statement(extension, "cleanup_revoke", grant),
                              " -- or, for who has the name now: ", statement(extension, "cleanup_grant", grant)));
        return;
    }
    if (grant.role != *grant.now_called)
        report.add(CheckStatus::warning, "grants",
                   pg::concat(what, "that role is now called \"", *grant.now_called,
                              "\"; the grant goes on, and has the new name after the next run"));
    const std::vector<std::string> missing = missing_privileges(spi, extension, grant.bound_role, grant.levels());
    if (!missing.empty()) {
        Grant now = grant;
        now.role = *grant.now_called;
        report.add(CheckStatus::warning, "grants",
                   pg::concat(what, "without ", missing.size(), missing.size() == 1 ? " privilege" : " privileges",
                              " of the level, such as ", missing.front()),
                   statement(extension, "cleanup_grant", now));
    }
}

} // namespace

void check_grants(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    const std::vector<Grant> grants = all_grants(spi, extension);
    for (const Grant& grant : grants)
        check_one(spi, extension, grant, report);
    report.otherwise_ok("grants",
                        pg::concat("every grant is in force, with its privileges (", grants.size(), " in all)"));
}

} // namespace pgcleanup
