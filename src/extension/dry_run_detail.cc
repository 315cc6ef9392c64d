#include "extension/dry_run_detail.h"

#include "extension/dry_run.h"
#include "extension/family_forecast.h"
#include "extension/link_paths.h"
#include "extension/set_values.h"
#include "extension/table_facts.h"
#include "extension/unindexed.h"
#include "pg/result_set.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

std::string action_of(const LinkPath& path)
{
    if (path.is_relation)
        return "relation";
    switch (path.key.on_delete) {
    case 'c':
        return "CASCADE";
    case 'n':
        return "SET NULL";
    case 'd':
        return "SET DEFAULT";
    case 'r':
        return "RESTRICT";
    default:
        return "NO ACTION";
    }
}

class Detail {
public:
    Detail(const Policy& policy, Oid owner, const FamilyLinks& links, RowsOfLinks rows)
        : owner_(owner), skips_(policy.on_reference != "follow"), links_(links), rows_(std::move(rows)),
          role_(pg::quote_identifier(pg::role_name(owner)))
    {
    }

    std::vector<pg::Cell> row(const LinkPath& path) const
    {
        return {std::to_string(path.key.referencing),
                path.key.name,
                pg::text_array_cell(path.tables),
                action_of(path),
                rows_of(path),
                "0", // files come with their own feature
                path.key.unindexed.empty() && path.unindexed_target.empty() ? "true" : "false",
                pg::role_name(path.key.referencing_owner),
                note(path),
                hint(path)};
    }

private:
    pg::Cell rows_of(const LinkPath& path) const
    {
        if (!path.is_readable)
            return std::nullopt;
        for (std::size_t n = 0; n < rows_.size(); ++n) {
            const FamilyLink& link = links_.all()[n];
            const bool is_same = path.is_relation ? !OidIsValid(link.constraint) && link.name == path.key.name
                                                  : link.constraint == path.key.constraint;
            if (is_same && link.from == path.key.referenced)
                return std::to_string(rows_[n]);
        }
        return std::nullopt;
    }

    pg::Cell note(const LinkPath& path) const
    {
        std::string note;
        const auto add = [&](const std::string& text) { note += (note.empty() ? "" : " ") + text; };
        const ForeignKey& key = path.key;
        if (!path.is_readable)
            add(concat(role_,
                       " may not read the table: its rows are not counted, and what is behind it is not known."));
        else if (!path.is_relation && (key.blocks() || (skips_ && path.tables.size() == 2)))
            add("Rows that stay block what they reference.");
        else if (path.unless_referenced)
            add("Rows that another row needs stay.");
        if (key.referencing_owner != owner_)
            add(concat("The table belongs to ", pg::quote_identifier(pg::role_name(key.referencing_owner)),
                       ": its rows are left to the constraint."));
        if (!key.unindexed.empty() || !path.unindexed_target.empty())
            add("Without an index, each deleted row reads a whole table.");
        return note.empty() ? pg::Cell() : pg::Cell(note);
    }

    static pg::Cell hint(const LinkPath& path)
    {
        std::string hint;
        if (!path.key.unindexed.empty())
            hint = create_index_statements(path.key.unindexed, joined(path.key.referencing_columns));
        if (!path.unindexed_target.empty())
            hint += concat(hint.empty() ? "" : " ",
                           create_index_statements(path.unindexed_target, joined(path.key.referenced_columns)));
        return hint.empty() ? pg::Cell() : pg::Cell(hint);
    }

    Oid owner_;
    bool skips_;
    const FamilyLinks& links_;
    RowsOfLinks rows_;
    std::string role_;
};

void send(const OwnerSession& session, const TaskRequest& request, const Policy& policy, TaskReply& reply)
{
    const std::vector<LinkPath> paths = link_paths(policy, session.owner);
    if (paths.empty())
        return;
    const Eligibility eligibility(policy,
                                  {cutoff_at(policy, request.start, std::nullopt).value_or(request.start), {}, {}});
    const FamilyLinks links(policy, session.owner);
    const std::vector<Oid> leaves = leaves_of(policy.target);
    pg::Spi spi;
    const FamilyForecast forecast(spi, eligibility, links, leaves, ForecastDetail::links);
    const Detail detail(policy, session.owner, links, forecast.rows_of_links());
    for (const LinkPath& path : paths)
        reply.row(detail.row(path));
}

} // namespace

void dry_run_detail(const OwnerSession& session, const TaskRequest& request, const Policy& policy, TaskReply& reply)
{
    OwnerTransaction transaction(session, reading_lock_wait, pg::Access::read_only);
    require_ready(policy);
    require_owner(session, policy);
    if (!updates_rows(policy))
        send(session, request, policy, reply);
    transaction.commit();
}

} // namespace pgcleanup
