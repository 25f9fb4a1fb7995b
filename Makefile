# Makefile of depipe: `make`, `make install`, and with PG_CONFIG=… for another server.
# `make demo` and `make test` install what they need first; see test/prepare.

EXTENSION = depipe
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" depipe.control)
# the previous version: its complete script is kept in test/upgrade
PREVIOUSVERSION = 0.1.0

MODULE_big = depipe
PGFILEDESC = "depipe - ELT engine with quality gates"
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
PG_CPPFLAGS = -I$(srcdir)/src -DDEPIPE_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -MMD -MP

# sql/depipe.sql is the complete current script; it is installed under its version's name. The
# upgrade script is sql/depipe-upgrade.sql, completed by the difference of the two complete scripts.
UPGRADE = sql/depipe--$(PREVIOUSVERSION)--$(EXTVERSION).sql
PREVIOUS = test/upgrade/depipe--$(PREVIOUSVERSION).sql
DATA_built = sql/depipe--$(EXTVERSION).sql $(UPGRADE)
DATA = $(filter-out $(UPGRADE),$(wildcard sql/depipe--*--*.sql))

# The documents, in their own directory below the server's.
override docmoduledir = depipe
DOCS = $(sort $(wildcard doc/*.md doc/*.sql))

REGRESS = $(sort $(filter-out depipe%,$(patsubst sql/%.sql,%,$(wildcard sql/*.sql))))
REGRESS_OPTS = --load-extension=depipe
ISOLATION = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --load-extension=depipe --inputdir=test/isolation --outputdir=test/isolation
TAP_TESTS = $(if $(PROVE_TESTS),1)
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))

EXTRA_CLEAN = $(OBJS:.o=.d) sql/*.new test/isolation/output_iso test/isolation/results tmp

# Bitcode for the JIT compiler would require the same clang that built the server.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
# pg_config and pgxs.mk may be installed without headers: Debian's client package contains both.
SERVER_HEADER := $(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h)
ifneq ($(and $(PGXS),$(SERVER_HEADER)),)
include $(PGXS)
else
all install installcheck:
	@echo "no server headers found by $(PG_CONFIG): install them, or set PG_CONFIG" >&2; exit 1
endif

.DEFAULT_GOAL := all

sql/depipe--$(EXTVERSION).sql: sql/depipe.sql depipe.control
	cp $< $@

$(UPGRADE): $(PREVIOUS) sql/depipe.sql sql/depipe-upgrade.sql test/upgrade/changes.awk Makefile
	awk -f test/upgrade/changes.awk $(PREVIOUS) sql/depipe.sql sql/depipe-upgrade.sql >$@.new
	mv $@.new $@

$(OBJS): depipe.control
-include $(wildcard $(OBJS:.o=.d))

# PGXS looks for the documents under the paths that they have in this tree.
.PHONY: uninstall-documents
uninstall-documents:
	rm -f $(addprefix '$(DESTDIR)$(docdir)/$(docmoduledir)'/, $(notdir $(DOCS)))
uninstall: uninstall-documents

.PHONY: demo test bench lint format matrix
demo:
	@test/demo/run
test:
	@test/run
bench:
	@bench/run
	@bench/workers
lint:
	@test/lint
format:
	@test/lint --format
matrix:
	@test/matrix

# The value of a variable, for scripts: make -s print-REGRESS
print-%:
	@echo '$($*)'
