// The register of archive tables, cleanup_archives: what is an archive, of which table, for which policy.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

struct ArchiveEntry {
    Oid archive = InvalidOid; // InvalidOid: not there (any more)
    std::string archive_name; // "schema.name", quoted; the last known one when it is not there
    Oid source = InvalidOid;  // as above
    std::string source_name;
    std::int64_t policy_id = 0;
    bool named_by_us = true;
    // Columns that the archive got later than its first row, with the time: "name" -> timestamptz text.
    std::vector<std::pair<std::string, std::string>> added_columns;
};

// All of these are constant SQL under the extension owner's rights; `spi` must be open.
std::vector<ArchiveEntry> archives_of_policy(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id);
// The entries of a table, one per policy that archives into it; empty when it is no archive of ours.
std::vector<ArchiveEntry> archives_in(pg::Spi& spi, const pg::Extension& extension, Oid archive);
// Where rows of `source` went so far, the newest first; one per policy.
std::vector<ArchiveEntry> archives_of_source(pg::Spi& spi, const pg::Extension& extension, Oid source);

// Says that `policy` archives rows of `source` in `archive`; does nothing when that is known.
void register_archive(pg::Spi& spi, const pg::Extension& extension, const Policy& policy, Oid source, Oid archive,
                      bool named_by_us);
// Says that `archive` has got a column now: what was archived before has no value of it.
void register_added_column(pg::Spi& spi, const pg::Extension& extension, Oid archive, const std::string& column);

} // namespace pgcleanup
