// The age column of a target, and the period that its rows are kept.
#pragma once

#include "core/age_unit.h"
#include "extension/policy.h"

namespace pgcleanup {

struct AgeColumn {
    std::string quoted_name;
    AttrNumber number = InvalidAttrNumber;
    AgeKind kind = AgeKind::none;
    Oid type = InvalidOid;                 // below any domain
    core::AgeUnit unit = core::AgeUnit::s; // of integers
};

// Raises undefined_column, or datatype_mismatch for a type (or a unit for it) that is no age.
AgeColumn resolve_age_column(Oid relation, const std::string& name, const std::optional<std::string>& unit);

// Raises invalid_parameter_value, with a hint, unless `period` (interval text) is '0' or at least an hour, of one sign
// and of a sensible length. `option`: what the user calls it, retain or archive_retain.
void check_retain(const std::string& period, const std::string& option);

// Raises when the newest row that a cheap look finds would be from before 1990 in this unit: it is most likely the
// wrong one, under which every row looks old. Looks through an index, else at a thousand rows. Reads as the current
// user.
void check_age_unit(pg::Spi& spi, Oid relation, const AgeColumn& column);

} // namespace pgcleanup
