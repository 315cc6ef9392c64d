// The statements of a restore: which archived rows belong together, and putting them back. Each needs an open Spi in an
// OwnerTransaction that has called lock().
#pragma once

#include "core/block_ranges.h"
#include "extension/restore_tables.h"
#include "extension/row_ids.h"

namespace pgcleanup {

// What is to be restored: rows of a run and policy.
struct RestoreScope {
    std::int64_t run_id = 0;
    std::int64_t policy_id = 0;
    std::string condition = "true"; // over the alias `target`: of the rows of the target
};

// Of a row of an archive under this alias, whether it is of the run and policy.
std::string in_scope(const RestoreScope& scope, std::string_view alias);

// An archived row: of which table (index), and where.
struct ArchivedRow {
    std::size_t table = 0;
    ItemPointerData row{};
    bool is_image = false; // of a row whose reference was set to NULL or its default
    // Whether it belongs to the rows that were chosen; else one of these needs it, and it comes back only for that.
    bool is_wanted = true;
    bool in_scope = true; // else it is only known as what others need, and stays
};

// Rows that belong together, directly or through others, and which needs which: pairs of indices.
struct ArchivedFamily {
    std::vector<ArchivedRow> rows;
    std::vector<std::pair<std::size_t, std::size_t>> needs;
};

// Whether the archive has images of the run's rows. Needs an open Spi.
bool has_images(pg::Spi& spi, const RestoreTable& table, const RestoreScope& scope);

class RestoreRows {
public:
    RestoreRows(std::vector<RestoreTable> tables, std::vector<RestoreEdge> edges, RestoreScope scope)
        : tables_(std::move(tables)), edges_(std::move(edges)), scope_(std::move(scope))
    {
    }
    const std::vector<RestoreTable>& tables() const noexcept { return tables_; }

    // Keeps everybody else from changing the archives, and the definitions of both them and their tables, until the
    // transaction's end. By identity: whether they still have their names is to be looked at after it.
    void lock() const;
    // The rows of one archive in these blocks that are in scope.
    std::vector<ArchivedRow> seeds(pg::Spi& spi, std::size_t table, core::BlockRange blocks) const;
    // Those, and all that references them or (with a condition: only as far as these need it) that they reference, at
    // any depth.
    ArchivedFamily gather(pg::Spi& spi, const std::vector<ArchivedRow>& seeds) const;

    // Puts deleted rows back by one statement, whatever their tables, and takes them out of the archives. Raises when
    // one of them cannot be.
    void put_back(pg::Spi& spi, std::span<const ArchivedRow> rows) const;
    // Gives rows their references back, as far as they still hold what the deletion left, and takes these images out of
    // the archive; returns which.
    std::vector<ArchivedRow> reset_references(pg::Spi& spi, std::span<const ArchivedRow> images) const;

    // For reports: the row's key, as JSON text.
    std::string key(pg::Spi& spi, const ArchivedRow& row) const;

private:
    friend class ArchiveGathering;
    bool chooses() const { return scope_.condition != "true"; }
    std::string in_scope(std::string_view alias) const { return pgcleanup::in_scope(scope_, alias); }
    std::vector<ArchivedRow> read(pg::Spi& spi, std::size_t table, const std::string& rows,
                                  const pg::Parameters& parameters) const;
    void reset_group(pg::Spi& spi, std::size_t index, std::span<const std::string> columns, const RowIds& images,
                     std::vector<ArchivedRow>& done) const;

    std::vector<RestoreTable> tables_;
    std::vector<RestoreEdge> edges_;
    RestoreScope scope_;
};

} // namespace pgcleanup
