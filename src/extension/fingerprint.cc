#include "extension/fingerprint.h"

#include "pg/spi.h"
#include "pg/text.h"

#include <charconv>
#include <map>
#include <set>
#include <sstream>

namespace pgcleanup {

namespace {

using pg::concat;

// Each part yields lines "thing: what it is". $1..$7: relations, their columns as pairs, functions, operators, types,
// collations, enum values. 16384 is the first OID that is not PostgreSQL's own. search_path must be pg_catalog.
constexpr const char* describe_query = R"sql(
SELECT format('table %s: row type %s, kind %s', c.oid, c.reltype, c.relkind)
       || CASE WHEN c.relkind = 'v' THEN ', sha256 ' || encode(sha256(convert_to(pg_get_viewdef(c.oid), 'UTF8')), 'hex') ELSE '' END AS line
  FROM pg_class c WHERE c.oid = ANY ($1::oid[])
UNION ALL
SELECT format('column %s of table %s: %I %s', a.attnum, a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod))
       || CASE WHEN a.attcollation <> 0 THEN ' collation ' || a.attcollation::regcollation ELSE '' END
  FROM pg_attribute a JOIN unnest($2::oid[], $3::int[]) u (relation, number)
    ON a.attrelid = u.relation AND (a.attnum = u.number OR (u.number = 0 AND a.attnum > 0))
 WHERE NOT a.attisdropped
UNION ALL
SELECT format('function %s: %s %s%s%s in %s, sha256 %s', p.oid::regprocedure, p.prokind,
              CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
              CASE WHEN p.proisstrict THEN ' strict' ELSE '' END, CASE WHEN p.prosecdef THEN ' security definer' ELSE '' END,
              l.lanname,
              encode(sha256(convert_to(concat_ws(E'\n', p.prosrc, p.probin, p.proconfig::text, pg_get_function_sqlbody(p.oid),
                                                 pg_get_expr(p.proargdefaults, 0), format_type(p.prorettype, NULL),
                                                 g.aggtransfn, g.aggfinalfn, g.agginitval), 'UTF8')), 'hex'))
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang LEFT JOIN pg_aggregate g ON g.aggfnoid = p.oid
 WHERE p.oid = ANY ($4::oid[]) AND p.oid >= 16384
UNION ALL
SELECT format('operator %s: by %s', o.oid::regoperator, o.oprcode::oid::regprocedure)
  FROM pg_operator o WHERE o.oid = ANY ($5::oid[]) AND o.oid >= 16384
UNION ALL
SELECT format('type %s: %s, kind %s', t.oid, format_type(t.oid, NULL), t.typtype)
       || CASE WHEN t.typbasetype <> 0 THEN ' over ' || format_type(t.typbasetype, t.typtypmod) ELSE '' END
  FROM pg_type t WHERE t.oid = ANY ($6::oid[]) AND t.oid >= 16384
UNION ALL
SELECT format('collation %s: provider %s, locale %s', c.oid::regcollation, c.collprovider, c.collcollate)
  FROM pg_collation c WHERE c.oid = ANY ($7::oid[]) AND c.oid >= 16384
UNION ALL
SELECT format('enum value %s: %L', e.oid, e.enumlabel) FROM pg_enum e WHERE e.oid = ANY ($8::oid[])
)sql";

template <class Get>
std::string array_text(const List* list, Get get)
{
    std::string text = "{";
    for (int i = 0; i < list_length(list); ++i)
        text += concat(i == 0 ? "" : ",", get(list, i));
    return text + "}";
}

std::string oid_array(const List* list)
{
    return array_text(list, list_nth_oid);
}

using Lines = std::map<std::string, std::string>; // thing -> what it is

Lines split(const std::string& description)
{
    Lines lines;
    std::istringstream stream(description);
    for (std::string line; std::getline(stream, line);) {
        const std::size_t colon = line.find(": ");
        if (colon != std::string::npos)
            lines[line.substr(0, colon)] = line.substr(colon + 2);
    }
    return lines;
}

// "table 16400" with its name, where it is still there.
std::string with_table_name(const std::string& text)
{
    constexpr std::string_view word = "table ";
    const std::size_t at = text.find(word);
    if (at == std::string::npos)
        return text;
    const std::size_t begin = at + word.size();
    const std::size_t end = text.find_first_not_of("0123456789", begin);
    Oid relation = InvalidOid;
    std::from_chars(text.data() + begin, text.data() + std::min(end, text.size()), relation);
    const char* name = pg::pg_call([&] { return get_rel_name(relation); });
    if (name == nullptr)
        return text;
    return concat(text.substr(0, begin), pg::relation_name(relation),
                  end == std::string::npos ? std::string() : text.substr(end));
}

} // namespace

std::string describe_uses(const ExpressionUses& uses)
{
    pg::Spi spi;
    pg::Parameters parameters;
    parameters.text(oid_array(uses.relations))
        .text(oid_array(uses.column_relations))
        .text(array_text(uses.column_numbers, list_nth_int))
        .text(oid_array(uses.functions))
        .text(oid_array(uses.operators))
        .text(oid_array(uses.types))
        .text(oid_array(uses.collations))
        .text(oid_array(uses.enum_values));
    std::set<std::string> lines;
    for (const auto& row : spi.run(describe_query, parameters, pg::Access::read_only))
        lines.insert(pg::to_text(row[0]));
    std::string description;
    for (const std::string& line : lines)
        description += line + "\n";
    return description;
}

std::string difference(const std::string& before, const std::string& now)
{
    const Lines old_lines = split(before);
    const Lines new_lines = split(now);
    for (const auto& [thing, was] : old_lines) {
        const auto found = new_lines.find(thing);
        if (found == new_lines.end())
            return concat(with_table_name(thing), " (", was, ") is no longer what it refers to");
        if (found->second != was)
            return concat(with_table_name(thing), " was ", was, "; it is ", found->second);
    }
    for (const auto& [thing, is] : new_lines) {
        if (!old_lines.contains(thing))
            return concat(with_table_name(thing), " (", is, ") is what it refers to now");
    }
    return "";
}

bool is_part_of(const std::string& part, const std::string& whole)
{
    const Lines lines = split(whole);
    return std::ranges::all_of(split(part), [&](const auto& line) {
        const auto found = lines.find(line.first);
        return found != lines.end() && found->second == line.second;
    });
}

} // namespace pgcleanup
