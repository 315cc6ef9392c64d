// Literals like 'today', which PostgreSQL evaluates when it reads them: a policy would keep the day that it was made.
//
// Functions named pg_* may longjmp.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// The string literals of a raw (grammar's) tree that contain one of the words, in any case.
List* pg_suspicious_literals(Node* raw);

// The text of the first of them that became a date or time (or an array, range or row of such) in the analyzed tree;
// null when all are plain text or the like.
const char* pg_frozen_literal(Node* analyzed, List* literals);

} // namespace pgcleanup
