#include "extension/archive_registry.h"

#include "pg/text.h"

namespace pgcleanup {

namespace {

constexpr std::string_view entries_sql = R"(
SELECT (a.archive::regclass)::oid, a.archive::text, (a.source::regclass)::oid, a.source::text, a.policy_id, a.named_by_us,
       (SELECT array_agg(c.key ORDER BY c.key)::text FROM jsonb_each_text(a.added_columns) AS c),
       (SELECT array_agg(c.value ORDER BY c.key)::text FROM jsonb_each_text(a.added_columns) AS c)
FROM @extschema@.cleanup_archives AS a WHERE )";

constexpr const char* register_sql = R"(
INSERT INTO @extschema@.cleanup_archives (archive, source, policy_id, policy, named_by_us, added_columns)
SELECT $1::oid::regclass::@extschema@.cleanup_target, $2::oid::regclass::@extschema@.cleanup_target, $3, $4, $5,
       coalesce((SELECT o.added_columns FROM @extschema@.cleanup_archives AS o
                 WHERE (o.archive::regclass)::oid = $1 LIMIT 1), '{}')
WHERE NOT EXISTS (SELECT FROM @extschema@.cleanup_archives AS o
                  WHERE o.policy_id = $3 AND (o.archive::regclass)::oid = $1 AND (o.source::regclass)::oid = $2))";

// now(): the time that rows archived in this transaction get; what they are given of the column is theirs.
constexpr const char* added_sql = R"(
UPDATE @extschema@.cleanup_archives
SET added_columns = added_columns || jsonb_build_object($2::text, now()::text)
WHERE (archive::regclass)::oid = $1)";

Oid to_oid(const pg::Cell& cell)
{
    return cell ? static_cast<Oid>(pg::to_int64(cell)) : InvalidOid;
}

std::vector<std::pair<std::string, std::string>> to_pairs(const pg::Cell& names, const pg::Cell& times)
{
    const std::vector<std::string> keys = pg::text_array(names);
    const std::vector<std::string> values = pg::text_array(times);
    std::vector<std::pair<std::string, std::string>> pairs;
    for (std::size_t i = 0; i < keys.size(); ++i)
        pairs.emplace_back(keys[i], values.at(i));
    return pairs;
}

std::vector<ArchiveEntry> select(pg::Spi& spi, const pg::Extension& extension, std::string_view where,
                                 const pg::Parameters& parameters)
{
    const pg::AsExtensionOwner as_owner(extension);
    std::vector<ArchiveEntry> entries;
    for (const auto& row : spi.run(pg::in_extension_schema(pg::concat(entries_sql, where), extension), parameters)) {
        ArchiveEntry entry;
        entry.archive = to_oid(row[0]);
        entry.archive_name = pg::to_text(row[1]);
        entry.source = to_oid(row[2]);
        entry.source_name = pg::to_text(row[3]);
        entry.policy_id = pg::to_int64(row[4]);
        entry.named_by_us = pg::to_bool(row[5]);
        entry.added_columns = to_pairs(row[6], row[7]);
        entries.push_back(std::move(entry));
    }
    return entries;
}

} // namespace

std::vector<ArchiveEntry> archives_of_policy(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id)
{
    return select(spi, extension, "a.policy_id = $1 ORDER BY a.archive_id", pg::Parameters().int8(policy_id));
}

std::vector<ArchiveEntry> archives_in(pg::Spi& spi, const pg::Extension& extension, Oid archive)
{
    return select(spi, extension, "(a.archive::regclass)::oid = $1 ORDER BY a.archive_id",
                  pg::Parameters().oid(archive));
}

std::vector<ArchiveEntry> archives_of_source(pg::Spi& spi, const pg::Extension& extension, Oid source)
{
    return select(spi, extension, "(a.source::regclass)::oid = $1 ORDER BY a.archive_id DESC",
                  pg::Parameters().oid(source));
}

void register_archive(pg::Spi& spi, const pg::Extension& extension, const Policy& policy, Oid source, Oid archive,
                      bool named_by_us)
{
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema(register_sql, extension),
            pg::Parameters().oid(archive).oid(source).int8(policy.id).text(policy.name).boolean(named_by_us));
}

void register_added_column(pg::Spi& spi, const pg::Extension& extension, Oid archive, const std::string& column)
{
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema(added_sql, extension), pg::Parameters().oid(archive).text(column));
}

} // namespace pgcleanup
