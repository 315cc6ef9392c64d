#include "extension/expression_tree.h"

#include "extension/frozen_literals.h"
#include "pg/version.h"

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
                    errhint("Write one boolean expression, as after WHERE; sub-selects go in parentheses.")));
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

RangeTblEntry* pg_add_target(ParseState* state, Oid relation, const char* alias)
{
    Relation table = table_open(relation, AccessShareLock);
    ParseNamespaceItem* item = addRangeTableEntryForRelation(
        state, table, AccessShareLock, alias == nullptr ? nullptr : makeAlias(alias, NIL), true, true);
    addNSItemToQuery(state, item, false, true, true);
    table_close(table, NoLock);
    return item->p_rte;
}

// --- comparing
// ---------------------------------------------------------------------------------------------------------

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

ExpressionTree pg_parse_expression(const char* text, Oid relation, const char* alias)
{
    Node* raw = pg_raw_expression(text);
    // Analysis writes into the raw tree, so what is looked for there is looked for first.
    List* literals = pg_suspicious_literals(raw);
    ParseState* state = make_parsestate(nullptr);
    state->p_sourcetext = text;
    RangeTblEntry* target = OidIsValid(relation) ? pg_add_target(state, relation, alias) : nullptr;
    ExpressionTree expression{};
    Node* tree = transformExpr(state, raw, EXPR_KIND_WHERE);
    expression.tree = coerce_to_boolean(state, tree, "this expression");
    assign_expr_collations(state, expression.tree);
    if (target != nullptr)
        expression.target_columns = bms_copy(pg::selected_columns(target, pg::permissions_of(state)));
    expression.frozen_literal = pg_frozen_literal(expression.tree, literals);
    free_parsestate(state);
    return expression;
}

const char* pg_print_expression(const ExpressionTree& expression, Oid relation)
{
    const bool has_columns = OidIsValid(relation);
    List* context = has_columns ? deparse_context_for("target", relation) : NIL;
    // A copy: printing may write into the tree (18 resolves the columns of GROUP BY in place).
    auto* tree = static_cast<Node*>(copyObjectImpl(expression.tree));
    return deparse_expression(tree, context, has_columns, false);
}

bool pg_same_expression(const ExpressionTree& left, const ExpressionTree& right)
{
    return equal(pg_normalized(left.tree, nullptr), pg_normalized(right.tree, nullptr));
}

} // namespace pgcleanup
