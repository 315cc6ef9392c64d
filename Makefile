# pg_cleanup: the extension is built by PGXS as any other (make, make install, PG_CONFIG=...).
# The other targets (test, demo, bench ...) are scripts that install the packages they need first, so they work before
# PostgreSQL's headers are there.
.DEFAULT_GOAL := all

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

EXTENSION = pg_cleanup
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" pg_cleanup.control)
MODULE_big = pg_cleanup

SOURCES := $(sort $(wildcard src/core/*.cc src/pg/*.cc src/extension/*.cc))
OBJS = $(SOURCES:.cc=.o)
DEPS = $(SOURCES:.cc=.d)
SQL_PARTS := $(sort $(wildcard src/sql/*.sql))
INSTALL_SQL = $(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(INSTALL_SQL)
DATA = $(wildcard src/sql/updates/$(EXTENSION)--*--*.sql)
EXTRA_CLEAN = $(DEPS) compile_commands.json

REGRESS = $(shell sed -n 's/^test: *//p' test/regress_schedule 2>/dev/null)
REGRESS_OPTS = --inputdir=. --load-extension=$(EXTENSION)

# PostgreSQL's directories come in as system headers, so that warnings are errors in our code only: gcc drops an -I that
# is also an -isystem. -Wno-register: PostgreSQL 15's headers use a keyword that C++17 took away.
PG_CXXFLAGS = -std=c++20 -Wall -Wextra -Werror -Wno-register -Isrc -isystem $(includedir_server) -MMD -MP

# No bitcode of C++ for the JIT; and C++ links with the C++ compiler (PGXS would take $(CC)).
override with_llvm = no
override COMPILER = $(CXX) $(CXXFLAGS)

ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
-include $(DEPS)

# Objects made for another server or by another compiler are made anew.
BUILT_FOR := $(shell mkdir -p build; new="$$($(PG_CONFIG) --version) $$($(CXX) --version 2>/dev/null | head -n 1)"; \
	[ "$$new" = "$$(cat build/built-for 2>/dev/null)" ] || echo "$$new" >build/built-for)
$(OBJS): build/built-for
else
all install uninstall clean installcheck:
	@echo "pg_cleanup: PostgreSQL's build files (PGXS) were not found by '$(PG_CONFIG)': install the Debian package postgresql-server-dev-NN (NN: the server's major version; test/tools/ensure_packages does it), or set PG_CONFIG" >&2; exit 1
.PHONY: all install uninstall clean installcheck
endif

$(OBJS): Makefile

# What the library compares with the installed extension.
src/pg/identity.o: override CXXFLAGS += -DPG_CLEANUP_VERSION='"$(EXTVERSION)"'
src/pg/identity.o: pg_cleanup.control

# The install script is its parts joined in name order; the directory is a prerequisite so that a removed part counts.
$(INSTALL_SQL): $(SQL_PARTS) $(wildcard src/sql) pg_cleanup.control Makefile
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; cat $(SQL_PARTS) </dev/null; } >$@.tmp
	mv $@.tmp $@

export PG_CONFIG
.PHONY: demo test soak bench lint matrix test-chroot
demo:
	demo/demo.sh
test:
	test/tools/run_tests
soak:
	PG_CLEANUP_SOAK=1 test/tools/run_tests
bench:
	test/tools/run_bench
lint:
	test/tools/run_lint
matrix:
	test/tools/run_matrix
test-chroot:
	test/chroot/run.sh
