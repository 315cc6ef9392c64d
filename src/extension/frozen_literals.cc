#include "extension/frozen_literals.h"

#include "pg/version.h"

namespace pgcleanup {

namespace {

bool is_frozen_word(std::string_view word)
{
    constexpr std::array<std::string_view, 4> words = {"now", "today", "tomorrow", "yesterday"};
    return std::any_of(words.begin(), words.end(), [&](std::string_view frozen) {
        return frozen.size() == word.size() && pg_strncasecmp(frozen.data(), word.data(), word.size()) == 0;
    });
}

bool is_letter(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

// One of the words may stand among others: 'yesterday 03:00', '[today,tomorrow)'.
bool has_frozen_word(std::string_view text)
{
    std::size_t begin = 0;
    while (begin < text.size()) {
        std::size_t end = begin;
        while (end < text.size() && is_letter(text[end]))
            ++end;
        if (is_frozen_word(text.substr(begin, end - begin)))
            return true;
        begin = end + 1;
    }
    return false;
}

bool pg_literal_walker(Node* node, void* context)
{
    if (node == nullptr)
        return false;
    check_stack_depth();
    if (IsA(node, A_Const)) {
        auto* literal = reinterpret_cast<A_Const*>(node);
        if (!literal->isnull && IsA(&literal->val.node, String) && has_frozen_word(literal->val.sval.sval)) {
            auto* found = static_cast<List**>(context);
            *found = lappend(*found, literal);
        }
        return false;
    }
    return pg::walk_raw_tree(node, pg_literal_walker, context);
}

bool pg_has_date_or_time(Oid type);

bool pg_row_has_date_or_time(Oid type)
{
    TupleDesc row = lookup_rowtype_tupdesc_domain(type, -1, true);
    if (row == nullptr)
        return true; // unknown: better refused
    bool found = false;
    for (int i = 0; i < row->natts && !found; ++i)
        found = !TupleDescAttr(row, i)->attisdropped && pg_has_date_or_time(TupleDescAttr(row, i)->atttypid);
    ReleaseTupleDesc(row);
    return found;
}

bool pg_has_date_or_time(Oid type)
{
    check_stack_depth();
    type = getBaseType(type);
    switch (type) {
    case DATEOID:
    case TIMEOID:
    case TIMETZOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
        return true;
    default:
        break;
    }
    const Oid element = get_element_type(type);
    if (OidIsValid(element))
        return pg_has_date_or_time(element);
    switch (get_typtype(type)) {
    case TYPTYPE_RANGE:
        return pg_has_date_or_time(get_range_subtype(type));
    case TYPTYPE_MULTIRANGE:
        return pg_has_date_or_time(get_range_subtype(get_multirange_range(type)));
    case TYPTYPE_COMPOSITE:
        return pg_row_has_date_or_time(type);
    default:
        return false;
    }
}

struct Search {
    List* literals;
    const char* found;
};

// A constant stands where its literal stood in the text.
const char* literal_at(const List* literals, int location)
{
    for (int i = 0; i < list_length(literals); ++i) {
        auto* literal = static_cast<A_Const*>(list_nth(literals, i));
        if (literal->location == location)
            return literal->val.sval.sval;
    }
    return nullptr;
}

bool pg_constant_walker(Node* node, void* context)
{
    if (node == nullptr)
        return false;
    check_stack_depth();
    auto* search = static_cast<Search*>(context);
    if (IsA(node, Const)) {
        auto* constant = reinterpret_cast<Const*>(node);
        const char* literal = literal_at(search->literals, constant->location);
        if (literal != nullptr && pg_has_date_or_time(constant->consttype))
            search->found = literal;
        return search->found != nullptr;
    }
    if (IsA(node, Query))
        return pg::walk_query(reinterpret_cast<Query*>(node), pg_constant_walker, context);
    return pg::walk_expression(node, pg_constant_walker, context);
}

} // namespace

List* pg_suspicious_literals(Node* raw)
{
    List* found = NIL;
    pg_literal_walker(raw, &found);
    return found;
}

const char* pg_frozen_literal(Node* analyzed, List* literals)
{
    Search search{literals, nullptr};
    if (literals != NIL)
        pg_constant_walker(analyzed, &search);
    return search.found;
}

} // namespace pgcleanup
