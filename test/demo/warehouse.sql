-- The administrator's one-time work in the warehouse. Everything after this is done by `etl`, who
-- is no superuser.

CREATE DATABASE warehouse;
\connect warehouse

CREATE EXTENSION depipe;

CREATE ROLE etl LOGIN;
CREATE ROLE analyst LOGIN;
GRANT CREATE ON DATABASE warehouse TO etl;
GRANT CREATE ON SCHEMA public TO etl;      -- the shop's enum lies there; the load makes it
GRANT USAGE ON FOREIGN DATA WRAPPER depipe TO etl;
