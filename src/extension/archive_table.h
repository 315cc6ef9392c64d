// The shape of an archive table: its source's columns, without constraints and defaults, and what we add to each row.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

// What every archive has beyond its source's columns. A row of it either was deleted, or is the image of one that a
// constraint's SET NULL or SET DEFAULT changed: then `changed_column` says which columns got which values.
inline constexpr const char* run_id_column = "cleanup_run_id";           // bigint
inline constexpr const char* policy_id_column = "cleanup_policy_id";     // bigint
inline constexpr const char* archived_at_column = "cleanup_archived_at"; // timestamptz, of the batch
inline constexpr const char* changed_column = "cleanup_changed";         // jsonb

struct TableColumn {
    std::string name;
    std::string quoted;
    Oid type = InvalidOid; // in an archive: below any domain, whose constraints are not the archive's
    std::int32_t modifier = -1;
    Oid collation = InvalidOid;
    bool generated = false; // its value cannot be written
    bool has_default = false;
    bool identity = false;
    AttrNumber number = 0;
};

// The columns of a table that are not dropped, in their order. Catalogs only; takes AccessShareLock.
std::vector<TableColumn> columns_of(Oid table);
// The type as it is written in a statement, qualified.
std::string type_text(const TableColumn& column);
// Those names, quoted, each after `prefix`: "target.a, target.b".
std::string column_list(std::span<const TableColumn> columns, std::string_view prefix = "");

// The column's default as an expression, "NULL" without one.
std::string default_value(Oid table, const TableColumn& column);
// What an INSERT that does not name the column gives it, as an expression: of an identity column the next number.
std::string value_for_new_row(Oid table, const TableColumn& column);

// Raises duplicate_column when the table has a column of the names that we add.
void check_archivable(Oid source);
// What keeps `archive` from taking in rows of `source`, for people; empty when nothing does. Columns that it merely
// lacks are no obstacle, unless it has them under the name that they had before.
std::string obstacle(Oid source, Oid archive);

// As the current user, who becomes its owner; nobody else gets a privilege. `name`: quoted and qualified.
Oid create_archive(pg::Spi& spi, Oid source, const std::string& schema, const std::string& table);
// Adds what `source` has and `archive` lacks; the names of what was added.
std::vector<std::string> extend_archive(pg::Spi& spi, Oid source, Oid archive);

} // namespace pgcleanup
