// What a policy of action update sets: columns, each with an expression for its new value.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

struct SetValue {
    std::string column;     // as it is named in the catalogs
    std::string expression; // canonical once it is stored
};

// Whether the policy changes the rows that are due, instead of removing them.
inline bool updates_rows(const Policy& policy)
{
    return policy.action == "update";
}

// Reads JSON text. Raises invalid_parameter_value, with a hint, unless it is an object with at least one member, all of
// them strings.
std::vector<SetValue> parse_set_values(const std::string& json);
// The reverse, as PostgreSQL prints jsonb.
std::string print_set_values(std::span<const SetValue> values);

// Raises, with a hint, when one of the columns is not there or must not be set: system and generated columns, identity
// ALWAYS, what other tables reference, what a row's partition depends on, what keep_last finds the newest rows by; also
// when the table has a rule ON UPDATE. Takes AccessShareLock on the target, its partitions and what it is a partition
// of. Reads catalogs only.
void check_set_columns(const Policy& policy, std::span<const SetValue> values);

} // namespace pgcleanup
