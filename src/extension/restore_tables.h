// The tables of a restore: each archive with its source, how a row goes back, and which references lead from one to
// another.
#pragma once

#include "extension/archive_registry.h"
#include "extension/archive_table.h"

namespace pgcleanup {

struct RestoreTable {
    Oid archive = InvalidOid;
    Oid source = InvalidOid;
    std::string archive_name; // quoted, qualified
    std::string source_name;
    std::string from_source;             // for UPDATE: with ONLY, unless it is partitioned
    std::string insert_columns;          // what is written back
    std::string insert_values;           // the same of `gone`, a row of the archive
    std::vector<std::string> key;        // the primary key's columns, not quoted; empty unless archived rows have one
    std::vector<TableColumn> columns;    // of the source, generated ones too
    std::vector<std::string> in_archive; // their names, not quoted, as far as the archive has them
};

// Rows of `child` reference rows of `parent` (indices of tables): a condition over their aliases c and p.
struct RestoreEdge {
    std::size_t child = 0;
    std::size_t parent = 0;
    std::string match;
    // A key, which the child needs; a relation: the rows belong together, but neither needs the other; an image, and
    // the row that it is of, which was deleted later.
    enum class Kind { key, relation, image };
    Kind kind = Kind::key;
    std::vector<std::string> columns; // of a key's child, not quoted: an image concerns it if one of them was changed
};

// The archives of a policy, its target's first, each once. Raises, with a hint, when one is gone or has changed so that
// its rows do not fit their table any more; undefined_table when there is none. Catalogs only.
std::vector<RestoreTable> restore_tables(pg::Spi& spi, const pg::Extension& extension, const Policy& policy);

// Whether the archive has all of these columns, and the source as well.
bool has_all(const RestoreTable& table, std::span<const std::string> columns);

// By the foreign keys and the policy's relations as they are now.
std::vector<RestoreEdge> restore_edges(const Policy& policy, std::span<const RestoreTable> tables);

// As jsonb: the key of the archived row `alias`, or all of it without a primary key.
std::string archived_key(const RestoreTable& table, std::string_view alias);

// A FROM item "pair" with the row ids of images ($1, tid[]) of `table`, whose `changed` columns were set, and for each
// the tableoid and row id of the row of the source that it is an image of, if that still holds what these columns were
// set to: (image, tab, tid). Each image and each row comes once.
std::string image_pairs(const RestoreTable& table, std::span<const std::string> changed);

} // namespace pgcleanup
