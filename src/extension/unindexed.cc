#include "extension/unindexed.h"

#include "extension/relation.h"
#include "extension/settings.h"
#include "extension/table_facts.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

namespace {

constexpr std::size_t most_statements = 3;

class Collector {
public:
    void add_keys(const Cascade& cascade)
    {
        for (const CascadeTable& table : cascade.tables)
            for (const ForeignKey& key : table.keys)
                if (OidIsValid(key.constraint)) // relations are looked at on both sides
                    add_key(key);
        std::ranges::for_each(cascade.unreadable, [this](const ForeignKey& key) { add_key(key); });
    }

    void add_relation(const DeclaredRelation& relation, const ForeignKey& key)
    {
        add_key(key);
        if (!relation.unless_referenced)
            return;
        const std::vector<Oid> unindexed = unindexed_in_target(relation, key.referenced);
        if (!unindexed.empty())
            add(key.referenced_name, key.referencing_name, key.name,
                static_cast<std::int64_t>(estimated_rows(key.referenced)), unindexed, key.referenced_columns);
    }

    std::vector<UnindexedReference> take() { return std::move(found_); }

private:
    void add_key(const ForeignKey& key)
    {
        const bool is_known = OidIsValid(key.constraint) && std::ranges::find(keys_, key.constraint) != keys_.end();
        if (key.unindexed.empty() || is_known)
            return;
        keys_.push_back(key.constraint);
        add(key.referencing_name, key.referenced_name, key.name, key.referencing_rows, key.unindexed,
            key.referencing_columns);
    }

    void add(const std::string& table, const std::string& referenced, const std::string& name, std::int64_t rows,
             const std::vector<Oid>& unindexed, const std::vector<std::string>& columns)
    {
        found_.push_back(
            {concat(table, " (about ", rows, " rows) references ", referenced, " (", name, ") without an index"),
             create_index_statements(unindexed, joined(columns)), rows_of(unindexed)});
    }

    // Of a partitioned table, only partitions without the index are read.
    static std::int64_t rows_of(const std::vector<Oid>& unindexed)
    {
        double rows = 0;
        for (const Oid leaf : unindexed)
            rows += estimated_rows(leaf);
        return static_cast<std::int64_t>(rows);
    }

    std::vector<Oid> keys_;
    std::vector<UnindexedReference> found_;
};

} // namespace

bool UnindexedReference::is_refused() const
{
    const std::int64_t most = max_unindexed_reference_rows();
    return most >= 0 && rows > most;
}

std::vector<UnindexedReference> unindexed_references(const Policy& policy, const Cascade& cascade)
{
    Collector collector;
    collector.add_keys(cascade);
    for (const DeclaredRelation& relation : relations_of(policy)) {
        if (!OidIsValid(relation.related))
            continue;
        collector.add_relation(relation, relation_key(relation, policy.target));
        collector.add_keys(cascade_from(relation.related, std::nullopt));
    }
    return collector.take();
}

std::optional<std::string> unindexed_refusal(const Policy& policy, const Cascade& cascade)
{
    for (const UnindexedReference& reference : unindexed_references(policy, cascade)) {
        if (reference.is_refused())
            return concat("refused: ", reference.text, ", and is larger than pg_cleanup.max_unindexed_reference_rows (",
                          max_unindexed_reference_rows(), "): each deleted row would read all of it. ",
                          reference.statements);
    }
    return std::nullopt;
}

std::string create_index_statements(const std::vector<Oid>& tables, const std::string& columns)
{
    std::vector<std::string> statements;
    statements.reserve(tables.size());
    for (const Oid table : tables)
        statements.push_back(concat("CREATE INDEX CONCURRENTLY ON ", pg::relation_name(table), " (", columns, ");"));
    const std::size_t shown = std::min(statements.size(), most_statements);
    std::string text;
    for (std::size_t n = 0; n < shown; ++n)
        text += (n == 0 ? "" : " ") + statements[n];
    return statements.size() > shown ? concat(text, " -- and so on for ", statements.size() - shown, " more partitions")
                                     : text;
}

std::string joined(const std::vector<std::string>& quoted_names)
{
    std::string text;
    for (const std::string& name : quoted_names)
        text += (text.empty() ? "" : ", ") + name;
    return text;
}

} // namespace pgcleanup
