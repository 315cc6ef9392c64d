#include "extension/expression_tree.h"

#include "extension/frozen_literals.h"
#include "pg/version.h"

extern "C" {
#include "parser/parse_target.h"
}

namespace pgcleanup {

namespace {

// PostgreSQL's grammar reads "expression [FROM ...] [WHERE ...]" here, so everything but the expression must be absent.
bool is_expression_only(const SelectStmt* statement)
{
    return statement->distinctClause == NIL && statement->intoClause == nullptr && statement->fromClause == NIL &&
           statement->whereClause == nullptr && statement->groupClause == NIL && statement->havingClause == nullptr &&
           statement->windowClause == NIL && statement->valuesLists == NIL && statement->sortClause == NIL &&
           statement->limitOffset == nullptr && statement->limitCount == nullptr && statement->lockingClause == NIL &&
           statement->withClause == nullptr && statement->op == SETOP_NONE;
}

// `*` alone is no expression, and the analysis of expressions does not expect it.
bool is_star(const Node* value)
{
    return IsA(value, ColumnRef) && IsA(linitial(reinterpret_cast<const ColumnRef*>(value)->fields), A_Star);
}

[[noreturn]] void pg_raise_not_one_expression()
{
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("not a single expression"),
                    errhint("Write one expression; sub-selects go in parentheses.")));
    pg_unreachable();
}

Node* pg_raw_expression(const char* text)
{
    List* statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
    if (list_length(statements) != 1)
        pg_raise_not_one_expression();
    Node* statement = castNode(RawStmt, linitial(statements))->stmt;
    if (!IsA(statement, SelectStmt))
        pg_raise_not_one_expression();
    auto* select = reinterpret_cast<SelectStmt*>(statement);
    if (!is_expression_only(select) || list_length(select->targetList) != 1)
        pg_raise_not_one_expression();
    auto* target = castNode(ResTarget, linitial(select->targetList));
    if (target->name != nullptr || target->indirection != NIL || is_star(target->val))
        pg_raise_not_one_expression();
    return target->val;
}

RangeTblEntry* pg_add_target(ParseState* state, Relation table, const char* alias)
{
    ParseNamespaceItem* item = addRangeTableEntryForRelation(
        state, table, AccessShareLock, alias == nullptr ? nullptr : makeAlias(alias, NIL), true, true);
    addNSItemToQuery(state, item, false, true, true);
    return item->p_rte;
}

// The values of a run, as a row of a table "run": its values do not matter here, their types do.
void pg_add_run(ParseState* state)
{
    List* names = NIL;
    List* values = NIL;
    List* types = NIL;
    List* modifiers = NIL;
    List* collations = NIL;
    for (const RunValue& value : run_values) {
        names = lappend(names, makeString(pstrdup(value.name)));
        values = lappend(values, makeNullConst(value.type, -1, get_typcollation(value.type)));
        types = lappend_oid(types, value.type);
        modifiers = lappend_int(modifiers, -1);
        collations = lappend_oid(collations, get_typcollation(value.type));
    }
    ParseNamespaceItem* item = addRangeTableEntryForValues(state, list_make1(values), types, modifiers, collations,
                                                           makeAlias(run_alias, names), false, true);
    addNSItemToQuery(state, item, false, true, true);
}

// The run's place in the range table: after the target.
constexpr int run_number = 2;

struct WholeRunSearch {
    int levels_down = 0;
};

bool pg_finds_whole_run(Node* node, void* context)
{
    if (node == nullptr)
        return false;
    auto* search = static_cast<WholeRunSearch*>(context);
    if (IsA(node, Var)) {
        const auto* var = reinterpret_cast<const Var*>(node);
        return var->varno == run_number && var->varattno == 0 &&
               static_cast<int>(var->varlevelsup) == search->levels_down;
    }
    if (!IsA(node, Query))
        return pg::walk_expression(node, pg_finds_whole_run, context);
    ++search->levels_down;
    const bool found = pg::walk_query(reinterpret_cast<Query*>(node), pg_finds_whole_run, context);
    --search->levels_down;
    return found;
}

// A boolean, or what is assigned to the column.
Node* pg_analyze(ParseState* state, Node* raw, Relation table, AttrNumber assigned)
{
    if (assigned == InvalidAttrNumber)
        return coerce_to_boolean(state, transformExpr(state, raw, EXPR_KIND_WHERE), "this expression");
    state->p_target_relation = table;
    auto* value = reinterpret_cast<Expr*>(transformExpr(state, raw, EXPR_KIND_UPDATE_SOURCE));
    const char* column = NameStr(TupleDescAttr(RelationGetDescr(table), assigned - 1)->attname);
    value = transformAssignedExpr(state, value, EXPR_KIND_UPDATE_SOURCE, column, assigned, NIL, -1);
    state->p_target_relation = nullptr;
    return reinterpret_cast<Node*>(value);
}

// How columns are called where the target and the run stand side by side: PostgreSQL's function for one relation knows
// no second, that for plans takes any list.
List* pg_names_with_run(Oid relation)
{
    ParseState* state = make_parsestate(nullptr);
    Relation table = table_open(relation, AccessShareLock);
    pg_add_target(state, table, "target");
    table_close(table, NoLock);
    pg_add_run(state);
    PlannedStmt* statement = makeNode(PlannedStmt);
    statement->rtable = state->p_rtable;
    return deparse_context_for_plan_tree(statement, list_make2(pstrdup("target"), pstrdup(run_alias)));
}

// Comparing two trees.

Node* pg_normalized(Node* node, void* context);

// A cast of an array constructor that only labels its elements anew is the same as labelled elements; PostgreSQL reads
// the one form where it printed the other (`varchar_column IN ('a', 'b')`). Null when it is something else.
Node* pg_label_elements(const ArrayCoerceExpr* cast, void* context)
{
    if (!IsA(cast->arg, ArrayExpr) || !IsA(cast->elemexpr, RelabelType))
        return nullptr;
    const auto* array = reinterpret_cast<const ArrayExpr*>(cast->arg);
    const auto* label = reinterpret_cast<const RelabelType*>(cast->elemexpr);
    if (array->multidims || !IsA(label->arg, CaseTestExpr))
        return nullptr;
    auto* result = static_cast<ArrayExpr*>(copyObjectImpl(array));
    result->array_typeid = cast->resulttype;
    result->array_collid = cast->resultcollid;
    result->element_typeid = label->resulttype;
    result->elements = NIL;
    for (int i = 0; i < list_length(array->elements); ++i) {
        auto* labelled = static_cast<RelabelType*>(copyObjectImpl(label));
        labelled->arg = static_cast<Expr*>(list_nth(array->elements, i));
        result->elements = lappend(result->elements, pg_normalized(reinterpret_cast<Node*>(labelled), context));
    }
    return reinterpret_cast<Node*>(result);
}

Node* pg_normalized_query(Query* query, void* context)
{
    Query* copy = pg::copy_query(query, pg_normalized, context);
    for (int i = 0; i < list_length(copy->rtable); ++i) {
        auto* entry = static_cast<RangeTblEntry*>(list_nth(copy->rtable, i));
        entry->alias = nullptr;
        entry->eref = makeAlias("", NIL);
        entry->join_using_alias = nullptr;
    }
    return reinterpret_cast<Node*>(copy);
}

// `(a AND b) AND c` is `a AND b AND c`: the parser flattens what stands on the left (gram.y, makeAndExpr), so the same
// text can come back with other parentheses.
List* pg_flattened_arguments(const BoolExpr* expression)
{
    List* arguments = NIL;
    for (int i = 0; i < list_length(expression->args); ++i) {
        auto* argument = static_cast<Node*>(list_nth(expression->args, i));
        const bool is_same = expression->boolop != NOT_EXPR && IsA(argument, BoolExpr) &&
                             reinterpret_cast<BoolExpr*>(argument)->boolop == expression->boolop;
        arguments = is_same ? list_concat(arguments, reinterpret_cast<BoolExpr*>(argument)->args)
                            : lappend(arguments, argument);
    }
    return arguments;
}

// A copy without the names that only people read: aliases, names of result columns, spelling of operators.
Node* pg_normalized(Node* node, void* context)
{
    if (node == nullptr)
        return nullptr;
    check_stack_depth();
    if (IsA(node, Query))
        return pg_normalized_query(reinterpret_cast<Query*>(node), context);
    if (IsA(node, ArrayCoerceExpr)) {
        Node* labelled = pg_label_elements(reinterpret_cast<ArrayCoerceExpr*>(node), context);
        if (labelled != nullptr)
            return labelled;
    }
    Node* copy = pg::copy_expression(node, pg_normalized, context);
    if (IsA(copy, TargetEntry))
        reinterpret_cast<TargetEntry*>(copy)->resname = nullptr;
    else if (IsA(copy, SubLink))
        reinterpret_cast<SubLink*>(copy)->operName = NIL;
    else if (IsA(copy, BoolExpr))
        reinterpret_cast<BoolExpr*>(copy)->args = pg_flattened_arguments(reinterpret_cast<BoolExpr*>(copy));
    return copy;
}

} // namespace

ExpressionTree pg_parse_expression(const char* text, const ExpressionPlace& place, const char* alias)
{
    Node* raw = pg_raw_expression(text);
    // Analysis writes into the raw tree, so what is looked for there is looked for first.
    List* literals = pg_suspicious_literals(raw);
    ParseState* state = make_parsestate(nullptr);
    state->p_sourcetext = text;
    Relation table = OidIsValid(place.relation) ? table_open(place.relation, AccessShareLock) : nullptr;
    RangeTblEntry* target = table == nullptr ? nullptr : pg_add_target(state, table, alias);
    if (place.assigned != InvalidAttrNumber)
        pg_add_run(state);
    ExpressionTree expression{};
    expression.tree = pg_analyze(state, raw, table, place.assigned);
    assign_expr_collations(state, expression.tree);
    if (target != nullptr)
        expression.target_columns = bms_copy(pg::selected_columns(target, pg::permissions_of(state)));
    if (place.assigned != InvalidAttrNumber) {
        WholeRunSearch search;
        expression.uses_whole_run = pg_finds_whole_run(expression.tree, &search);
    }
    expression.frozen_literal = pg_frozen_literal(expression.tree, literals);
    if (table != nullptr)
        table_close(table, NoLock);
    free_parsestate(state);
    return expression;
}

const char* pg_print_expression(const ExpressionTree& expression, const ExpressionPlace& place)
{
    // A copy: printing may write into the tree (18 resolves the columns of GROUP BY in place).
    auto* tree = static_cast<Node*>(copyObjectImpl(expression.tree));
    if (place.assigned != InvalidAttrNumber)
        return deparse_expression(tree, pg_names_with_run(place.relation), true, false);
    const bool has_columns = OidIsValid(place.relation);
    List* context = has_columns ? deparse_context_for("target", place.relation) : NIL;
    return deparse_expression(tree, context, has_columns, false);
}

bool pg_same_expression(const ExpressionTree& left, const ExpressionTree& right)
{
    return equal(pg_normalized(left.tree, nullptr), pg_normalized(right.tree, nullptr));
}

} // namespace pgcleanup
