/*-------------------------------------------------------------------------
 *
 * kept_state.c
 *		The kept state of constraints, and what makes it unusable.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/kept_state.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#define KEPT_TERMS                                                          \
	"SELECT k.constraint_id, k.term, k.expression, k.fingerprint, k.value"  \
	" FROM depipe.kept_state k WHERE k.target_id OPERATOR(pg_catalog.=) $1" \
	" UNION ALL SELECT NULL, NULL, NULL, NULL, NULL WHERE EXISTS (SELECT"   \
	" FROM depipe.direct_write w WHERE w.relid OPERATOR(pg_catalog.=) $2)"

static List *
take_terms(const CatalogRows *rows, bool *written)
{
	List *terms = NIL;

	*written = false;
	for (uint64 i = 0; i < rows->count; i++)
	{
		KeptTerm *term;

		if (catalog_isnull(rows, i, 1))
		{
			*written = true;
			continue;
		}
		term = palloc(sizeof(KeptTerm));
		term->constraint_id = catalog_int4(rows, i, 1);
		term->term = catalog_int4(rows, i, 2);
		term->expression = catalog_text(rows, i, 3);
		term->fingerprint = catalog_text(rows, i, 4);
		term->value = catalog_datum(rows, i, 5, &term->isnull);
		terms = lappend(terms, term);
	}
	return terms;
}

List *
kept_terms(int32 target_id, Oid relid, bool *written)
{
	return take_terms(CATALOG_EXECUTE(KEPT_TERMS, ARG_INT4(target_id), ARG_OID(relid)), written);
}

List *
kept_terms_look(int32 target_id, Oid relid, bool *written)
{
	CatalogArg args[] = {ARG_INT4(target_id), ARG_OID(relid)};

	return take_terms(catalog_look(KEPT_TERMS, lengthof(args), args), written);
}

/* ---- writing ---- */

typedef struct TermArrays
{
	CatalogArg constraint_ids;
	CatalogArg numbers;
	CatalogArg values;
	List *expressions;
	List *fingerprints;
} TermArrays;

static CatalogArg
numeric_array(const Datum *values, bool *nulls, int count)
{
	int lower = 1;

	return ARG_DATUM(NUMERICARRAYOID,
					 PointerGetDatum(construct_md_array((Datum *) values,
														nulls,
														1,
														&count,
														&lower,
														NUMERICOID,
														-1,
														false,
														TYPALIGN_INT)));
}

static TermArrays
arrays_of(List *terms)
{
	TermArrays arrays = {0};
	Datum *values = palloc(sizeof(Datum) * (list_length(terms) + 1));
	bool *nulls = palloc(sizeof(bool) * (list_length(terms) + 1));
	List *ids = NIL;
	List *numbers = NIL;
	ListCell *cell;

	foreach(cell, terms)
	{
		const KeptTerm *term = lfirst(cell);

		values[foreach_current_index(cell)] = term->value;
		nulls[foreach_current_index(cell)] = term->isnull;
		ids = lappend_int(ids, term->constraint_id);
		numbers = lappend_int(numbers, term->term);
		arrays.expressions = lappend(arrays.expressions, term->expression);
		arrays.fingerprints = lappend(arrays.fingerprints, term->fingerprint);
	}
	arrays.constraint_ids = ARG_INT4_ARRAY(ids);
	arrays.numbers = ARG_INT4_ARRAY(numbers);
	arrays.values = numeric_array(values, nulls, list_length(terms));
	return arrays;
}

uint64
kept_terms_update(List *terms)
{
	TermArrays arrays = arrays_of(terms);

	return CATALOG_EXECUTE("UPDATE depipe.kept_state k SET value = u.value"
						   " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
						   " pg_catalog.unnest($3)) u (constraint_id, term, value)"
						   " WHERE k.constraint_id OPERATOR(pg_catalog.=) u.constraint_id"
						   " AND k.term OPERATOR(pg_catalog.=) u.term",
						   arrays.constraint_ids,
						   arrays.numbers,
						   arrays.values)
		->processed;
}

void
kept_terms_replace(int32 target_id, List *terms)
{
	TermArrays arrays;

	(void) CATALOG_EXECUTE("DELETE FROM depipe.kept_state"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT4(target_id));
	if (terms == NIL)
		return;
	arrays = arrays_of(terms);
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.kept_state"
		" (constraint_id, term, target_id, expression, fingerprint, value)"
		" SELECT u.constraint_id, u.term, $4, u.expression, u.fingerprint, u.value"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
		" pg_catalog.unnest($3), pg_catalog.unnest($5), pg_catalog.unnest($6))"
		" u (constraint_id, term, value, expression, fingerprint)",
		arrays.constraint_ids,
		arrays.numbers,
		arrays.values,
		ARG_INT4(target_id),
		ARG_TEXT_ARRAY(arrays.expressions),
		ARG_TEXT_ARRAY(arrays.fingerprints));
}

/* ---- direct writes ---- */

/* Appended, never updated: writers do not wait for each other. */
void
direct_write_put(Oid relid)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.direct_write (relid) VALUES ($1)", ARG_OID(relid));
}

void
direct_writes_forget(Oid relid)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.direct_write WHERE relid OPERATOR(pg_catalog.=) $1",
						   ARG_OID(relid));
}

bool
direct_write_look(Oid relid)
{
	CatalogArg args[] = {ARG_OID(relid)};

	return catalog_look("SELECT FROM depipe.direct_write WHERE relid OPERATOR(pg_catalog.=) $1"
						" LIMIT 1",
						lengthof(args),
						args)
			   ->count > 0;
}

bool
kept_state_look(int32 target_id)
{
	CatalogArg args[] = {ARG_INT4(target_id)};

	return catalog_look("SELECT FROM depipe.kept_state WHERE target_id OPERATOR(pg_catalog.=) $1"
						" LIMIT 1",
						lengthof(args),
						args)
			   ->count > 0;
}
