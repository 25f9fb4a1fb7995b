-- Data and changes of the benchmark's source. Everything is deterministic: setseed() before each
-- round, one statement after the other.

CREATE TABLE items (
	id bigint PRIMARY KEY,
	quantity int NOT NULL,
	note text,
	updated_at timestamptz
);

CREATE PUBLICATION bench FOR TABLE items;

CREATE FUNCTION fill(number_of_rows bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO items
	SELECT i, i % 1000, md5(i::text), timestamptz '2024-01-01 00:00Z' + i * interval '1 second'
	FROM generate_series(1, number_of_rows) i;
$$;

-- Update random rows of the table, with the given number of rows per transaction.
CREATE PROCEDURE updates(changes bigint, per_transaction int, seed float8) LANGUAGE plpgsql AS $$
DECLARE
	keys bigint := (SELECT max(id) FROM items);
	key bigint;
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. changes LOOP
		key := 1 + floor(random() * keys);
		UPDATE items
		SET quantity = quantity + 1, note = md5(i::text || seed::text),
			updated_at = updated_at + interval '1 minute'
		WHERE id = key;
		IF i % per_transaction = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END
$$;

-- Transactions of 20 insertions, 20 updates and 3 deletions, of both old and new rows.
CREATE PROCEDURE mixed(transactions bigint, seed float8) LANGUAGE plpgsql AS $$
DECLARE
	keys bigint := (SELECT max(id) FROM items);
	key bigint;
	deletions int;
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. transactions LOOP
		FOR j IN 1 .. 20 LOOP
			keys := keys + 1;
			INSERT INTO items VALUES (keys, j, md5(keys::text), timestamptz '2024-01-01 00:00Z');
			LOOP
				key := 1 + floor(random() * keys);
				UPDATE items SET quantity = quantity + 1, note = md5(i::text || seed::text)
				WHERE id = key;
				EXIT WHEN FOUND;
			END LOOP;
		END LOOP;
		deletions := 0;
		WHILE deletions < 3 LOOP
			key := 1 + floor(random() * keys);
			DELETE FROM items WHERE id = key;
			IF FOUND THEN
				deletions := deletions + 1;
			END IF;
		END LOOP;
		COMMIT;
	END LOOP;
END
$$;

-- Return when a subscriber has applied everything up to a position, with the clock time in seconds.
CREATE FUNCTION applied_at(upto pg_lsn) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	give_up timestamptz := clock_timestamp() + interval '10 minutes';
BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_stat_get_wal_senders() WHERE replay_lsn >= upto) LOOP
		IF clock_timestamp() > give_up THEN
			RAISE EXCEPTION 'the subscription has not applied everything in 10 minutes';
		END IF;
		PERFORM pg_sleep(0.002);
	END LOOP;
	RETURN extract(epoch FROM clock_timestamp());
END
$$;
