#include "extension/preview.h"

#include "extension/dry_run.h"
#include "extension/eligibility.h"
#include "extension/family_gather.h"
#include "extension/index_facts.h"
#include "extension/reference_rules.h"
#include "extension/row_update.h"
#include "extension/run_checks.h"
#include "extension/table_facts.h"
#include "extension/warnings.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

std::string timestamp_text(TimestampTz time)
{
    return pg::output_text(TimestampTzGetDatum(time), TIMESTAMPTZOID);
}

// Ages that people cannot read as a time get the time in parentheses.
bool needs_translation(AgeKind kind)
{
    return kind == AgeKind::int4 || kind == AgeKind::int8 || kind == AgeKind::uuid;
}

class Preview {
public:
    Preview(const OwnerSession& session, const TaskRequest& request, const Policy& policy)
        : policy_(policy), owner_(session.owner), start_(request.start),
          cutoff_(cutoff_at(policy, request.start, std::nullopt)),
          eligibility_(policy, {cutoff_.value_or(start_), {}, {}}), links_(policy, owner_),
          rule_(reference_rule(policy, links_)), keys_(readable_keys())
    {
        if (updates_rows(policy))
            update_.emplace(policy, start_, cutoff_, policy.retain);
    }

    void send(pg::Spi& spi, int rows, TaskReply& reply)
    {
        pg::Parameters parameters;
        eligibility_.add_parameters(parameters);
        if (update_)
            update_->add_parameters(parameters);
        const std::string sql = compose(spi, rows);
        const pg::Rows found = spi.run(sql, parameters, pg::Access::read_only);
        if (rule_ == ReferenceRule::families)
            look_at_families(spi, found);
        for (const std::vector<pg::Cell>& row : found)
            reply.row({row[0], row[1], why(row), row[4]});
    }

private:
    // The keys that can block a row. Families say by themselves what blocks them; a row that is changed is blocked by
    // nothing.
    std::vector<ForeignKey> readable_keys() const
    {
        if (rule_ == ReferenceRule::none || rule_ == ReferenceRule::families)
            return {};
        const bool any = rule_ == ReferenceRule::unreferenced;
        std::vector<ForeignKey> keys = references_to(policy_.target);
        std::erase_if(
            keys, [&](const ForeignKey& key) { return !(any || key.blocks()) || !may_read(key.referencing, owner_); });
        return keys;
    }

    static core::RowPlace place_of_row(const std::vector<pg::Cell>& row)
    {
        const Datum id = pg::input_value(pg::to_text(row[6]), TIDOID);
        return place_of(static_cast<Oid>(pg::to_int64(row[5])), *reinterpret_cast<ItemPointer>(DatumGetPointer(id)));
    }

    // As a run that met these rows first would decide; what they are tied with is found all the same.
    void look_at_families(pg::Spi& spi, const pg::Rows& rows)
    {
        std::map<Oid, RowIds> by_leaf;
        for (const std::vector<pg::Cell>& row : rows)
            by_leaf[place_of_row(row).table].push_back(row_id_of(place_of_row(row)));
        FamilyStatements statements(eligibility_, links_, pg::Access::read_only);
        const FamilyGatherer gatherer(statements, GatherMode::look);
        for (const auto& [leaf, ids] : by_leaf)
            for (const ItemPointerData& id : ids)
                look_at_family(spi, gatherer, leaf, id);
    }

    void look_at_family(pg::Spi& spi, const FamilyGatherer& gatherer, Oid leaf, const ItemPointerData& id)
    {
        try {
            const Family family = gatherer.gather_bounded(spi, leaf, {id}, most_rows_of_batch);
            const core::FamilyGraph::Verdict& verdict = family.verdicts.front();
            if (verdict.fate == core::FamilyGraph::Fate::blocked)
                kept_.emplace_back(place_of(leaf, id), pg::relation_name(topmost_table(verdict.table)));
        } catch (const FamilyTooLarge&) { // NOLINT(bugprone-empty-catch): not looked through for a preview
        }
    }

    // Columns: the row, its age as a time, its age as it is stored, whether nothing blocks it, what it becomes, where
    // it is, and one per key that might block it.
    std::string compose(pg::Spi& spi, int rows) const
    {
        const std::optional<std::string>& column = eligibility_.age_column();
        std::string probes;
        for (const ForeignKey& key : keys_)
            probes += concat(", ", reference_probe(key, policy_.target, "target", "r",
                                                   concat(" AND NOT (", same_row("r", "target"), ")")));
        return concat("SELECT pg_catalog.to_jsonb(target.*), ", eligibility_.age_as_timestamp(), ", ",
                      column ? concat("target.", *column, "::pg_catalog.text") : "NULL", ", ",
                      update_ ? concat("true, ", update_->new_values(policy_.target))
                              : concat(reference_test(rule_, policy_.target, owner_), ", NULL"),
                      ", target.tableoid::pg_catalog.int8, target.ctid", probes, " FROM ", from_table(policy_.target),
                      " AS target", update_ ? concat(", ", update_->run_row(1 + eligibility_.parameter_count())) : "",
                      " WHERE ", eligibility_.test(1), is_ordered(spi) ? concat(" ORDER BY target.", *column) : "",
                      " LIMIT ", rows);
    }

    bool is_ordered(pg::Spi& spi) const
    {
        if (!policy_.age_column)
            return false;
        return std::ranges::all_of(leaves_of(policy_.target), [&](Oid leaf) {
            return has_age_index(spi, leaf, *policy_.age_column, IndexUse::order);
        });
    }

    std::string why(const std::vector<pg::Cell>& row) const
    {
        std::string text = age_reason(row);
        if (policy_.condition)
            text += concat(text.empty() ? "" : " and ", "meets the condition ", *policy_.condition);
        if (policy_.keep_last)
            text += concat(" and is not among the newest ", *policy_.keep_last, " rows of its ",
                           policy_.keep_per.empty() ? "table" : listed(policy_.keep_per));
        const std::string blocker = rule_ == ReferenceRule::families ? family_blocker(row) : blockers(row);
        return blocker.empty() ? text : concat(text, "; blocked: ", blocker);
    }

    std::string age_reason(const std::vector<pg::Cell>& row) const
    {
        if (!cutoff_)
            return "";
        const std::string age = row[2].value_or("NULL");
        return concat(*policy_.age_column, " ", age,
                      needs_translation(eligibility_.age_kind()) && row[1] ? concat(" (", *row[1], ")") : "",
                      " is older than the cutoff ", timestamp_text(*cutoff_), " (", policy_.retain.value_or("0"),
                      " before ", timestamp_text(start_), ")");
    }

    std::string family_blocker(const std::vector<pg::Cell>& row) const
    {
        const auto found = std::ranges::find(kept_, place_of_row(row), &std::pair<core::RowPlace, std::string>::first);
        return found == kept_.end()
                   ? ""
                   : concat("it, or what would go along, is referenced by rows that stay in ", found->second);
    }

    std::string blockers(const std::vector<pg::Cell>& row) const
    {
        if (row[3] == "t")
            return "";
        std::string text;
        for (std::size_t n = 0; n < keys_.size(); ++n)
            if (row[7 + n])
                text +=
                    concat(text.empty() ? "referenced by " : ", ", keys_[n].referencing_name, " (", keys_[n].name, ")");
        return text.empty() ? "rows that would go along are referenced by rows that stay" : text;
    }

    const Policy& policy_;
    Oid owner_;
    TimestampTz start_;
    std::optional<TimestampTz> cutoff_;
    Eligibility eligibility_;
    FamilyLinks links_;
    ReferenceRule rule_;
    std::vector<ForeignKey> keys_;
    std::vector<std::pair<core::RowPlace, std::string>> kept_; // rows whose families stay, and which table keeps them
    std::optional<RowUpdate> update_;
};

} // namespace

void preview_policy(const OwnerSession& session, const TaskRequest& request, const Policy& policy, TaskReply& reply)
{
    OwnerTransaction transaction(session, reading_lock_wait, pg::Access::read_only);
    require_ready(policy);
    require_owner(session, policy);
    verify_meaning(policy, policy.target);
    {
        Preview preview(session, request, policy);
        pg::Spi spi;
        preview.send(spi, request.preview_rows, reply);
    }
    transaction.commit();
}

} // namespace pgcleanup
