--
-- The role that a definition is evaluated as: the owner of its table, and
-- nobody else, whoever makes a table of the same name.
--
SET client_min_messages TO warning;
CREATE ROLE regress_first LOGIN;
CREATE ROLE regress_second LOGIN;
CREATE SCHEMA owners;
GRANT CREATE, USAGE ON SCHEMA owners TO regress_first, regress_second;

SET SESSION AUTHORIZATION regress_first;
CREATE TABLE owners.base (id int PRIMARY KEY, v int);
GRANT SELECT ON owners.base TO regress_second;
INSERT INTO owners.base VALUES (1, 1), (2, -2);
SELECT depipe.create_transform('owners.copied', 'SELECT id, v FROM owners.base');
SELECT depipe.add_constraint('owners.copied', depipe.satisfies('v > -10'), on_violation => 'quarantine');
CREATE TABLE owners.checked (id int PRIMARY KEY, v int);
SELECT depipe.add_constraint('owners.checked', depipe.satisfies('v > 0'));
INSERT INTO owners.base VALUES (3, -30);
SELECT status, quarantined FROM depipe.refresh('owners.copied');
SELECT target, key FROM depipe.quarantine;

-- the tables go, and another role makes tables of their names, with a trap in them
DROP TABLE owners.copied, owners.checked;
SET SESSION AUTHORIZATION regress_second;
CREATE FUNCTION owners.who(v int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RAISE WARNING 'evaluated as %', current_user;
	RETURN true;
END
$$;
CREATE FUNCTION owners.trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM owners.who(1);
	RETURN new;
END
$$;
CREATE TABLE owners.copied (id int PRIMARY KEY, v int);
CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON owners.copied FOR EACH ROW EXECUTE FUNCTION owners.trap();
CREATE TABLE owners.checked (id int PRIMARY KEY, v int);
INSERT INTO owners.checked VALUES (1, 1);
GRANT ALL ON owners.copied, owners.checked TO regress_first;
SELECT depipe.add_constraint('owners.checked', depipe.satisfies('owners.who(v)'));
SELECT depipe.check_table('owners.checked');
SELECT target, key FROM depipe.quarantine;
SELECT count(*) FROM depipe.quarantined(NULL::owners.copied);

SET SESSION AUTHORIZATION regress_first;
SELECT status, reason FROM depipe.refresh('owners.copied');
SELECT * FROM depipe.verify('owners.copied');
SELECT depipe.drop_transform('owners.copied');
SELECT depipe.drop_constraint('owners.checked', 'v_satisfies');

-- now the name is free
SET SESSION AUTHORIZATION regress_second;
SELECT depipe.add_constraint('owners.checked', depipe.satisfies('owners.who(v)'), name => 'who');
RESET SESSION AUTHORIZATION;

-- a table that is given away takes its definitions along
SET SESSION AUTHORIZATION regress_first;
CREATE TABLE owners.given (id int PRIMARY KEY, v int);
INSERT INTO owners.given VALUES (1, 1);
SELECT depipe.add_constraint('owners.given', depipe.satisfies('v > 0'));
SELECT depipe.create_transform('owners.moved', 'SELECT id, v FROM owners.base');
RESET SESSION AUTHORIZATION;
ALTER TABLE owners.given OWNER TO regress_second;
GRANT SELECT ON owners.given TO regress_first;
SET SESSION AUTHORIZATION regress_second;
SELECT depipe.add_constraint('owners.given', depipe.satisfies('owners.who(v)'), name => 'who');
RESET SESSION AUTHORIZATION;
ALTER TABLE owners.moved OWNER TO regress_second;
SELECT target, owner FROM depipe.transforms WHERE target = 'owners.moved';
SELECT status FROM depipe.refresh('owners.moved');
REASSIGN OWNED BY regress_first TO regress_second;
DROP OWNED BY regress_first;
DROP ROLE regress_first;
SELECT target, owner FROM depipe.transforms WHERE target = 'owners.moved';
SELECT status FROM depipe.refresh('owners.moved');

SELECT depipe.drop_transform('owners.moved', true);
DROP SCHEMA owners CASCADE;
SELECT depipe.drop_constraint(target, name) FROM depipe.constraints WHERE target LIKE 'owners.%';
DROP OWNED BY regress_second;
DROP ROLE regress_second;
