// Arguments of SQL functions, checked.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// The name "*": every policy.
inline constexpr const char* every_policy = "*";

// Raises null_value_not_allowed for NULL: a client's unset variable must not mean everything.
std::string policy_argument(FunctionCallInfo fcinfo, int n);
// The interval in the IntervalStyle postgres, whatever the session's.
std::optional<std::string> interval_argument(FunctionCallInfo fcinfo, int n);
// Raises invalid_parameter_value for an infinite time.
std::optional<TimestampTz> time_argument(FunctionCallInfo fcinfo, int n, const char* name);

// Raises invalid_parameter_value unless the range holds some time.
void check_age_range(std::optional<TimestampTz> from, std::optional<TimestampTz> to);

} // namespace pgcleanup
