// What deleting a row sets off through foreign keys, table by table.
#pragma once

#include "extension/references.h"

namespace pgcleanup {

struct CascadeTable {
    Oid table = InvalidOid;
    std::vector<ForeignKey> keys; // what references this table
};

struct Cascade {
    // The table itself first, then every table that its deletions reach by CASCADE.
    std::vector<CascadeTable> tables;
    // A path leads back to a table that it already passed: only a recursive query finds every row.
    bool cyclic = false;
    // Keys of tables that the reader may not read; what lies behind them is unknown.
    std::vector<ForeignKey> unreadable;

    const CascadeTable& find(Oid table) const;
    bool has_blocking_keys() const;
    // Whether rows of `table`, or of partitions it shares, may go by the cascade (the first table's own rows apart).
    bool reaches(Oid table) const;
};

// Follows CASCADE from `relation`. With a reader, keys of tables that he may not read are set aside.
Cascade cascade_from(Oid relation, std::optional<Oid> reader);

// What a run of the policy sets off: nothing, when it only changes rows of its target.
Cascade cascade_of(const Policy& policy, std::optional<Oid> reader);

// The topmost partitioned table that `table` is part of, or itself: tables with different ones share no rows.
Oid topmost_table(Oid table);

// A recursive common table expression "going (tab, tid)": the rows that `seed` (a query of a tableoid and a ctid)
// yields, and every row that goes with them by CASCADE. Rows come once when the graph is cyclic.
std::string going_rows(const Cascade& cascade, const std::string& seed);

// The same as "going (root_tab, root_tid, tab, tid)", for each row of `seed` by itself, itself among them.
std::string going_rows_by_root(const Cascade& cascade, const std::string& seed);

// The same for the row `target` alone, as "going (tab, tid, depth)": how far down the cascade; a row may come with
// several depths, up to a limit where the graph is cyclic.
std::string going_with_target(const Cascade& cascade);

} // namespace pgcleanup
