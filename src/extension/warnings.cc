#include "extension/warnings.h"

#include "extension/calls.h"
#include "extension/run_checks.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

std::vector<std::string> warnings_of(pg::Spi& spi, const DryRunFacts& facts)
{
    Warnings list;
    warn_if_disabled(facts, list);
    warn_of_guard(facts, list);
    warn_of_breaker(facts, list);
    warn_of_blocked_rows(facts, list);
    warn_of_endless_update(spi, facts, list);
    warn_of_overlap(spi, facts, list);
    warn_of_missing_age_index(spi, facts, list);
    warn_of_missing_group_index(spi, facts, list);
    warn_of_unindexed_references(facts, list);
    warn_of_large_families(spi, facts, list);
    warn_of_unlogged(facts, list);
    warn_of_publications(facts, list);
    warn_of_triggers(spi, facts, list);
    warn_of_foreign_triggers(spi, facts, list);
    warn_of_other_owners(facts, list);
    warn_of_unarchivable(facts, list);
    return list;
}

void warn_if_disabled(const DryRunFacts& facts, Warnings& list)
{
    if (!facts.policy.enabled)
        list.push_back(concat("The policy is disabled and does not run. To enable it: SELECT ",
                              qualified(facts.extension, "cleanup_alter_policy"), "(",
                              pg::quote_literal(facts.policy.name), ", enabled => true);"));
}

void warn_of_guard(const DryRunFacts& facts, Warnings& list)
{
    if (!facts.policy.guard)
        return;
    const GuardResult guard = evaluate_guard(*facts.policy.guard);
    if (!guard.is_true)
        list.push_back(concat("A run now would be skipped: ", guard.reason));
}

void warn_of_breaker(const DryRunFacts& facts, Warnings& list)
{
    const std::optional<std::string> refusal = breaker_refusal(facts.policy, facts.eligibility, facts.leaves);
    if (refusal)
        list.push_back(concat("A run now would be ", *refusal));
}

void warn_of_blocked_rows(const DryRunFacts& facts, Warnings& list)
{
    if (facts.due.blocked == 0)
        return;
    std::vector<std::string> keys;
    for (const auto& [key, rows] : facts.due.blocked_by)
        keys.push_back(concat(key, " (", rows, rows == 1 ? " row)" : " rows)"));
    list.push_back(
        concat(facts.due.blocked, facts.due.blocked == 1 ? " eligible row stays" : " eligible rows stay",
               ", as rows that stay reference ", facts.due.blocked == 1 ? "it: " : "them: ", listed(keys),
               ". Delete the referencing rows first, or let the constraint say ON DELETE CASCADE or SET NULL."));
}

void warn_of_overlap(pg::Spi& spi, const DryRunFacts& facts, Warnings& list)
{
    const Oid topmost = topmost_table(facts.policy.target);
    std::vector<std::string> names;
    for (const Policy& other : all_policies(spi, facts.extension))
        if (other.id != facts.policy.id && other.enabled && OidIsValid(other.target) &&
            topmost_table(other.target) == topmost && may_manage(other, facts.owner))
            names.push_back(concat('"', other.name, '"'));
    if (!names.empty())
        list.push_back(
            concat("Other policies act on the same table: ", listed(names),
                   ". Rows that are due by several of them are counted in each: the numbers cannot be added up."));
}

std::string listed(std::span<const std::string> items, std::size_t most)
{
    std::string text;
    for (std::size_t n = 0; n < std::min(items.size(), most); ++n)
        text += (n == 0 ? "" : ", ") + items[n];
    return items.size() > most ? concat(text, " and ", items.size() - most, " more") : text;
}

std::vector<const ForeignKey*> keys_met(const DryRunFacts& facts)
{
    std::vector<const ForeignKey*> keys;
    const auto add = [&](const ForeignKey& key) {
        const bool is_relation = !OidIsValid(key.constraint);
        if (is_relation || std::ranges::find(keys, key.constraint, &ForeignKey::constraint) == keys.end())
            keys.push_back(&key);
    };
    for (const CascadeTable& table : facts.cascade.tables)
        std::ranges::for_each(table.keys, add);
    std::ranges::for_each(facts.cascade.unreadable, add);
    return keys;
}

const char* delete_action(const ForeignKey& key)
{
    switch (key.on_delete) {
    case 'c':
        return "ON DELETE CASCADE";
    case 'n':
        return "ON DELETE SET NULL";
    case 'd':
        return "ON DELETE SET DEFAULT";
    case 'r':
        return "ON DELETE RESTRICT";
    default:
        return "ON DELETE NO ACTION";
    }
}

} // namespace pgcleanup
