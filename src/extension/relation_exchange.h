// Relations as a member of an exported policy: "relations": [{"related": "schema.table", "on_columns": {...},
// "unless_referenced": true}].
#pragma once

#include "extension/relation.h"

namespace pgcleanup {

// The member of a policy p of cleanup_policies in SQL, as an object to be appended: empty when it has no relation.
inline constexpr std::string_view exported_relations_expression =
    "coalesce((SELECT jsonb_build_object('relations', jsonb_agg(jsonb_build_object('related', r.related::text, "
    "'on_columns', r.on_columns, 'unless_referenced', r.unless_referenced) ORDER BY r.relation_id)) "
    "FROM @extschema@.cleanup_relations r WHERE r.policy_id = p.policy_id HAVING count(*) > 0), '{}')";

// What an import says, checked for its shape; names of tables are found under the current search_path. Raises
// invalid_parameter_value or undefined_table.
std::vector<DeclaredRelation> relations_to_import(const pg::Cell& json);

void remove_relations(pg::Spi& spi, const pg::Extension& extension, const Policy& policy);

} // namespace pgcleanup
