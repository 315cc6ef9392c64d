#include "extension/arguments.h"

#include "pg/settings_scope.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

std::string policy_argument(FunctionCallInfo fcinfo, int n)
{
    std::optional<std::string> policy = pg::text_argument(fcinfo, n);
    if (!policy)
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED,
                   .message = "policy must not be NULL",
                   .hint = "Give a policy's name; where every policy is meant, leave the argument out."});
    return *std::move(policy);
}

std::optional<std::string> interval_argument(FunctionCallInfo fcinfo, int n)
{
    if (PG_ARGISNULL(n))
        return std::nullopt;
    const pg::SettingsScope settings;
    settings.set("IntervalStyle", "postgres");
    return pg::output_text(PG_GETARG_DATUM(n), INTERVALOID);
}

std::optional<TimestampTz> time_argument(FunctionCallInfo fcinfo, int n, const char* name)
{
    if (PG_ARGISNULL(n))
        return std::nullopt;
    const TimestampTz time = PG_GETARG_TIMESTAMPTZ(n);
    if (TIMESTAMP_NOT_FINITE(time))
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat(name, " must be finite"),
                   .hint = "Leave the argument out for no limit."});
    return time;
}

void check_age_range(std::optional<TimestampTz> from, std::optional<TimestampTz> to)
{
    if (from && to && *from >= *to)
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = "age_from must be before age_to",
                   .hint = "Rows are taken when age_from <= age and age < age_to."});
}

} // namespace pgcleanup
