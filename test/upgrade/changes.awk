# changes.awk: the statements of an upgrade, from the scripts of two versions.
#
#	awk -f test/upgrade/changes.awk test/upgrade/depipe--OLD.sql sql/depipe.sql sql/depipe-upgrade.sql
#
# prints the upgrade script: the third file, which is written manually, with the generated
# statements in place of its line "-- @changes@". Generated are: new objects; functions and event
# triggers that have changed, dropped and created again, as are all views; drops of functions that
# no longer exist; new columns of tables; DO blocks, which can be repeated; comments and grants. All
# other changes of tables, types
# and objects that cannot be dropped are written manually: test/t/033_upgrade.pl compares the result
# with a new installation and reports differences.
#
# A statement ends with a semicolon at the end of a line, outside of quotes and $$ bodies. A
# function is identified by the signature in its COMMENT, which follows it.

# Quotes of a line that open or close a text; the rest of a line after "--" is a comment.
function count_quotes(line,    i, c, n, inside)
{
	inside = in_text
	n = 0
	for (i = 1; i <= length(line); i++)
	{
		c = substr(line, i, 1)
		if (c == "'")
		{
			inside = !inside
			n++
		}
		else if (!inside && substr(line, i, 2) == "--")
			break
	}
	return n
}

function squeeze(text)
{
	gsub(/[ \t\n]+/, " ", text)
	return text
}

# "COMMENT ON FUNCTION f(int) IS ..." -> "FUNCTION f(int)", for objects that can be dropped; else
# nothing.
function commented(text,    object)
{
	object = squeeze(text)
	if (object !~ /^COMMENT ON (FUNCTION|PROCEDURE|VIEW) /)
		return ""
	sub(/^COMMENT ON /, "", object)
	sub(/ IS .*/, "", object)
	return object
}

# "CREATE TABLE depipe.x (...": "CREATE TABLE depipe.x"
function head(text,    words, n)
{
	text = squeeze(text)
	sub(/ ?\(.*/, "", text)
	n = split(text, words, " ")
	if (text ~ /^CREATE (UNIQUE INDEX|EVENT TRIGGER) /)
		return words[1] " " words[2] " " words[3] " " words[4]
	if (text ~ /^CREATE FOREIGN DATA WRAPPER /)
		return words[1] " " words[2] " " words[3] " " words[4] " " words[5]
	return words[1] " " words[2] " " words[3]
}

function emit(text)
{
	changes = changes text "\n\n"
}

# Each column is on its own line, "\tname type ...,".
function column_name(line)
{
	if (line !~ /^\t[a-z_]+ / || line ~ /^\tCONSTRAINT /)
		return ""
	sub(/^\t/, "", line)
	sub(/ .*/, "", line)
	return line
}

# The columns of a table in both versions that only the new version has.
function added_columns(text, before,    lines, n, i, name, has, definition)
{
	n = split(before, lines, "\n")
	for (i = 1; i <= n; i++)
		has[column_name(lines[i])] = 1
	n = split(text, lines, "\n")
	for (i = 1; i <= n; i++)
	{
		name = column_name(lines[i])
		if (name == "" || (name in has))
			continue
		definition = lines[i]
		sub(/^\t/, "", definition)
		sub(/,$/, "", definition)
		emit("ALTER" substr(head(text), 7) " ADD COLUMN " definition ";")
	}
}

function statement(text,    object)
{
	object = commented(text)
	if (which == 1)
	{
		old[text] = 1
		old_head[head(text)] = text
		if (object != "")
		{
			old_objects[++n_old] = object
			is_old[object] = 1
		}
		return
	}
	if (object != "")
		is_new[object] = 1
	if (object != "" && created != "" && !(created in old))
	{
		if (object in is_old)
			is_changed[object] = 1
		emit(created)
	}
	created = ""
	if (text ~ /^CREATE (FUNCTION|PROCEDURE) /)
		created = text
	else if (text ~ /^(COMMENT|GRANT|REVOKE|CREATE VIEW) /)
		emit(text)
	else if (text ~ /^DO[ \n]/)    # can be repeated: for the tables that are new
		emit(text)
	else if (text in old || text ~ /^(SET|CREATE SCHEMA)[ \n]/)
		return
	else if (text ~ /^CREATE EVENT TRIGGER / && (head(text) in old_head))
	{
		object = head(text)
		sub(/^CREATE/, "DROP", object)
		emit(object ";")
		emit(text)
	}
	else if (text ~ /^CREATE TABLE / && (head(text) in old_head))
		added_columns(text, old_head[head(text)])
	else if (text !~ /^CREATE / || !(head(text) in old_head))
		emit(text)
}

function finish_file()
{
	if (squeeze(pending) !~ /^ ?$/)
	{
		print "changes.awk: no end of the statement: " pending > "/dev/stderr"
		exit 1
	}
}

function drops(    i, text)
{
	text = ""
	for (i = n_old; i > 0; i--)
		if (old_objects[i] ~ /^VIEW /)
			text = text "DROP " old_objects[i] ";\n\n"
	for (i = n_old; i > 0; i--)
		if (old_objects[i] !~ /^VIEW / && (!(old_objects[i] in is_new) || (old_objects[i] in is_changed)))
			text = text "DROP " old_objects[i] ";\n\n"
	return text
}

FNR == 1 {
	finish_file()
	which++
	pending = ""
}

which == 3 {
	if ($0 == "-- @changes@")
		printf "%s%s", drops(), changes
	else
		print
	next
}

in_block_comment {
	if (index($0, "*/"))
		in_block_comment = 0
	next
}

pending == "" && /^\/\*/ { in_block_comment = !index($0, "*/"); next }
pending == "" && (/^[ \t]*$/ || /^--/ || /^\\/) { next }

{
	pending = pending == "" ? $0 : pending "\n" $0
	line = $0
	bodies = gsub(/\$\$/, "", line)
	if (in_body || bodies > 0)
	{
		if (bodies % 2 == 1)
			in_body = !in_body
	}
	else if (count_quotes($0) % 2 == 1)
		in_text = !in_text
	if (!in_body && !in_text && $0 ~ /;[ \t]*(-- .*)?$/)
	{
		statement(pending)
		pending = ""
	}
}
