#include "extension/reference_rules.h"

#include "extension/leaf_statements.h"
#include "extension/set_values.h"
#include "extension/target.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

namespace {

// A row that references itself is referenced by nobody else.
std::string other_reference(const ForeignKey& key, Oid leaf)
{
    return reference_probe(key, leaf, "target", "r", concat(" AND NOT (", same_row("r", "target"), ")"));
}

// Where a key that is not ours to read would delete or change rows, nobody can say that nothing references a row.
std::optional<std::string> unreadable_refusal(const Policy& policy, const Cascade& cascade)
{
    for (const ForeignKey& key : cascade.unreadable)
        if (!key.blocks())
            return concat("on_reference '", policy.on_reference, "' needs to know which rows ", key.referencing_name,
                          " (", key.name, ") references, and ", pg::role_name(target_owner(policy.target)),
                          " may not read it");
    return std::nullopt;
}

std::optional<std::string> referenced_row(pg::Spi& spi, const Eligibility& eligibility, const LeafStatements& leaf,
                                          const ForeignKey& key)
{
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    const pg::Rows rows = spi.run(concat("SELECT ", leaf.key_expression(), " FROM ONLY ",
                                         pg::relation_name(leaf.leaf()), " AS target WHERE ", eligibility.test(1),
                                         " AND ", other_reference(key, leaf.leaf()), " LIMIT 1"),
                                  parameters, pg::Access::read_only);
    if (rows.empty())
        return std::nullopt;
    return concat("on_reference is 'error', and ", key.referencing_name, " (", key.name, ") references due rows of ",
                  key.referenced_name, ", such as ", pg::to_text(rows[0][0]));
}

} // namespace

ReferenceRule reference_rule(const Policy& policy, const FamilyLinks& links)
{
    if (updates_rows(policy))
        return ReferenceRule::none;
    if (needs_families(policy, links))
        return ReferenceRule::families;
    return policy.on_reference == "follow" ? ReferenceRule::not_blocked : ReferenceRule::unreferenced;
}

std::string reference_test(ReferenceRule rule, Oid leaf, Oid owner)
{
    if (rule == ReferenceRule::none || rule == ReferenceRule::families)
        return "true";
    if (rule == ReferenceRule::not_blocked)
        return not_referenced_test(leaf, owner);
    const Cascade cascade = cascade_from(leaf, owner);
    std::string test;
    for (const ForeignKey& key : cascade.find(leaf).keys)
        test += concat(test.empty() ? "" : " AND ", other_reference(key, leaf), " IS NULL");
    return test.empty() ? "true" : test;
}

std::vector<Oid> reference_tables(ReferenceRule rule, Oid leaf, Oid owner)
{
    if (rule != ReferenceRule::unreferenced)
        return blocking_tables(leaf, owner);
    std::vector<Oid> tables;
    const Cascade cascade = cascade_from(leaf, owner);
    for (const ForeignKey& key : cascade.find(leaf).keys)
        if (std::ranges::find(tables, key.referencing) == tables.end())
            tables.push_back(key.referencing);
    return tables;
}

std::optional<std::string> reference_refusal(const Policy& policy, const Eligibility& eligibility,
                                             std::span<const Oid> leaves, Oid owner)
{
    if (policy.on_reference == "follow" || updates_rows(policy))
        return std::nullopt;
    for (const Oid leaf : leaves) {
        const Cascade cascade = cascade_from(leaf, owner);
        if (std::optional<std::string> refusal = unreadable_refusal(policy, cascade))
            return refusal;
        if (policy.on_reference != "error")
            continue;
        const LeafStatements statements(policy, eligibility, leaf, owner, ReferenceRule::families);
        pg::Spi spi;
        for (const ForeignKey& key : cascade.find(leaf).keys)
            if (std::optional<std::string> refusal = referenced_row(spi, eligibility, statements, key))
                return refusal;
    }
    return std::nullopt;
}

} // namespace pgcleanup
