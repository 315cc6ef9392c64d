// A look at the small end of an index, for a bounded effort.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// A type's least value that no row may be eligible with (-infinity, zero): a probe starts above it.
struct ProbeStart {
    Oid type = InvalidOid;
    Datum above = 0;
};

struct ProbeLimits {
    int entries = 0; // index entries to look at, those of dead rows included
    int rows = 0;    // visible rows to find
};

struct ProbedRow {
    ItemPointerData tid;
    // The indexed value; of a type passed by reference, in the memory context that was current.
    Datum value;
};

struct Probe {
    std::vector<ProbedRow> rows; // in the index's order
    // The index has no more rows than these. False when one of the limits ended the probe.
    bool exhausted = false;
    // Too many entries of dead rows are in the way (before VACUUM), and the rows found may not be all up to the limit.
    bool gave_up = false;
};

// The first visible rows of `table` by `column`, read from an index. Nothing when there is no valid, complete btree
// index in the type's own order that the column leads. An index that is not vacuumed yet may begin with a million
// entries of deleted rows; a plain `ORDER BY ... LIMIT 1` would walk them all, this gives up.
std::optional<Probe> probe_index(Oid table, AttrNumber column, const ProbeStart& start, const ProbeLimits& limits);

} // namespace pgcleanup
