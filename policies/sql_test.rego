package mcp_test

import data.mcp

query(text) := call("echo", {"v": text})

# Whether a statement passes by these rules.
runs(rules, text) if mcp.decision.allow with input as query(text) with data.arguments as bounded({"sql": rules})

reading := {"verbs": ["SELECT"]}

listed_tables := {"verbs": ["select", "insert", "update", "delete"], "tables": ["orders", "public.Customers", `"Odd"`]}

test_sql_that_reads if {
	every text in [
		"SELECT 1", "select * from orders", "select * from orders;", " \n( SELECT 1 ) ; ",
		"SELECT 'it''s; -- no comment, DROP TABLE x' FROM t WHERE a = $1 AND b = :b AND c = ?",
		"WITH a AS (SELECT 1), b AS (SELECT 2) SELECT * FROM a, b",
		"select count(*), lower(name), replace(a, 'x', 'é €') from public.t where id in (1, 2.5) group by 2",
		`select "Name", x::date from "T" order by 1 desc limit 10`,
		"select sum(a) over (partition by b) from t where exists (select 1) or (a || b) <> '日本'",
		"select case when a then b else c end from t",
	] {
		runs(reading, text)
	}
}

test_sql_that_does_not_read_only if {
	{text |
		some text in [
			"", " ", ";", "()", "1", "'select 1'", "DELETE FROM t", "delete/**/from t", "drop table t",
			"SELECT 1; DELETE FROM t", "SELECT 1;;", "SELECT 1 ; SELECT 2", "SELECT 1 DELETE FROM t", "SELECT 1 EXEC x",
			"WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "with x as (select 1) delete from t",
			"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "EXPLAIN ANALYZE DELETE FROM t",
			"SELECT * INTO new FROM t", "SELECT 1 INTO OUTFILE '/tmp/x'", "select a from t for update", "into x",
			"COPY t TO PROGRAM 'sh'", "COPY (SELECT 1) TO '/tmp/x'", "LOAD DATA INFILE 'x' INTO TABLE t", "TABLE secret",
			"CALL p()", "DO SLEEP(5)", "EXEC xp_cmdshell 'dir'", "xp_cmdshell 'dir'", "PRAGMA writable_schema=1",
			"ATTACH DATABASE 'x' AS y", "SET ROLE admin", "RESET ROLE", "BEGIN", "VACUUM", "HANDLER t OPEN", "GRANT a TO b",
			"MERGE INTO t USING s ON a = b", "REPLACE INTO t VALUES (1)", "replace t values (1)", "TRUNCATE t", "values (1)",
		]
		runs(reading, text)
	} == set()
}

# What one dialect reads otherwise than another.
test_sql_in_two_minds if {
	{text |
		some text in [
			"SELECT 1 -- x", "SELECT 1 --\nDELETE", "SELECT 1 # x", "SELECT /* x */ 1", "SELECT /*!50000 1 */", "SELECT 1 */",
			"SELECT 1/**/UNION/**/SELECT 2", `SELECT 'a\' OR 1=1 -- '`, `SELECT '\''`, "SELECT $$a$$", "SELECT $a$ b $a$",
			"SELECT $a$b", "SELECT E'a'", "SELECT N'a'", "SELECT q'[it's]'", "SELECT X'41'", "SELECT 0x41", "SELECT 1.e(2)",
			"SELECT 1.", "SELECT .5", "SELECT 1union select 2", "SELECT 1e5", "SELECT 'a'b", `SELECT "a""b"`, `SELECT "a'b"`,
			`SELECT "a-b"`, "SELECT `a`", "SELECT [a]", "SELECT 'a", `SELECT "a`, "SELECT @a", "SELECT @@version",
			"SELECT a\u0000", "SELECT 'a\u0000'", "SELECT a\u00a0b", "SELECT\u2003 1", "SELECT 'a\u02bc OR 1'", "SELECT 'a\u2019'",
			"SELECT 'a\uff07'", "ＳＥＬＥＣＴ 1", "SELECT é", "SELECT {fn now()}", "SELECT a ! b", "SELECT ~1", "SELECT a & b", `SELECT 1 \g`,
		]
		runs(reading, text)
	} == set()
}

test_sql_of_another_type if {
	every text in [null, 1, true, ["SELECT 1"], {"sql": "SELECT 1"}, []] {
		mcp.decision == invalid("sql_not_allowed") with input as query(text) with data.arguments as bounded({"sql": reading})
	}
	not runs(reading, concat("", ["SELECT '", sprintf("%04000d", [0]), "'"]))
	every rules in [null, {}, [], "select", {"verbs": "select"}, {"verbs": []}] {
		not runs(rules, "SELECT 1")
	}
}

test_sql_calls if {
	{text |
		some text in [
			"SELECT pg_read_file('/etc/passwd')", "SELECT load_file('/etc/passwd')", "SELECT pg_sleep (5)", "SELECT sleep(5)",
			"SELECT * FROM dblink('x', 'y')", "SELECT lo_import('/x')", `SELECT "pg_sleep"(5)`, "SELECT pg_catalog.pg_sleep(5)",
			"SELECT evil.lower('a')", "SELECT query_to_xml('delete', true, true, '')", "SELECT lower(pg_sleep(1)::text)",
			"SELECT * FROM openrowset('x')", "SELECT nextval('s')", "SELECT load_extension('x')", `SELECT "a".lower(1)`,
			"SELECT 1 WHERE x in (1) and exists(select my.f(1))", "SELECT execute('x')",
		]
		runs(reading, text)
	} == set()
	more := {"verbs": ["select"], "functions": ["My.F", "pg_sleep"]}
	runs(more, "SELECT my.f(1), pg_sleep(5)")
	not runs(more, "SELECT f(1)")
}

test_sql_words if {
	not runs(reading, "SELECT comment FROM t")
	runs({"verbs": ["select"], "words": ["Comment"]}, "SELECT comment FROM t")
}

test_sql_that_writes if {
	writing := {"verbs": ["insert", "update", "select"]}
	runs(writing, "INSERT INTO t (a, b) VALUES (1, 'x')")
	runs(writing, "INSERT INTO public.t (a) SELECT a FROM s")
	runs(writing, "UPDATE t SET a = 1 WHERE b = 2")
	not runs(writing, "DELETE FROM t")
	not runs(writing, "SELECT 1 INTO t")
	not runs(writing, "INSERT INTO t SELECT 1 INTO x")
	not runs(reading, "INSERT INTO t (a) VALUES (1)")
	runs({"verbs": ["replace"]}, "REPLACE INTO t VALUES (1)")
}

test_sql_tables if {
	every text in [
		"SELECT * FROM orders", "SELECT o.id FROM orders AS o WHERE id = 1", "SELECT 1", `SELECT * FROM "Odd"`,
		"SELECT * FROM orders o JOIN public.customers c ON o.id = c.id AND lower(c.a) = 'x' WHERE a IN (1, 2)",
		"SELECT * FROM orders LEFT OUTER JOIN public.customers USING (id), orders x ORDER BY 1, 2",
		"SELECT * FROM (SELECT a FROM orders) x, orders", "SELECT a FROM orders WHERE id IN (SELECT id FROM public.customers)",
		"WITH x AS (SELECT * FROM orders), y AS (SELECT 1) SELECT * FROM x JOIN y ON 1 = 1",
		"SELECT extract(year FROM at) FROM orders", "SELECT a FROM orders UNION SELECT a FROM public.customers",
		"INSERT INTO orders (a) VALUES (1)", "INSERT INTO orders SELECT * FROM public.customers", "DELETE FROM orders WHERE a = 1",
		"UPDATE orders SET a = 1", "UPDATE orders AS o SET a = 1 FROM public.customers c WHERE o.a = c.a",
		"INSERT INTO orders (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
	] {
		runs(object.union(listed_tables, {"words": ["do"]}), text)
	}
}

test_sql_other_tables if {
	{text |
		some text in [
			"SELECT * FROM secret", "SELECT * FROM public.orders", "SELECT * FROM orders, secret", "SELECT * FROM orders o, secret s",
			"SELECT * FROM orders JOIN secret ON 1 = 1", "SELECT * FROM orders CROSS JOIN secret", "SELECT * FROM orders NATURAL JOIN secret",
			"SELECT * FROM orders STRAIGHT_JOIN secret", "SELECT * FROM orders o JOIN orders p ON 1 = 1 STRAIGHT_JOIN secret",
			"SELECT * FROM orders CROSS APPLY secret", "SELECT * FROM ONLY secret", "SELECT * FROM orders limit, secret",
			"SELECT * FROM orders AS offset, secret", "SELECT * FROM 'secret'", "SELECT * FROM $1", "SELECT 1 FROM",
			"SELECT * FROM orders WHERE a IS DISTINCT FROM secret", `SELECT * FROM "orders"`, "SELECT * FROM Odd",
		]
		runs(listed_tables, text)
	} == set()
}

test_sql_other_tables_in_parentheses if {
	{text |
		some text in [
			"SELECT * FROM (secret)", "SELECT * FROM ((secret))", "SELECT * FROM (orders, secret)",
			"SELECT * FROM (orders JOIN secret ON 1 = 1)", "SELECT * FROM ((SELECT 1) x CROSS JOIN secret)",
			"SELECT * FROM ((SELECT 1) x, secret)", "SELECT * FROM (SELECT 1) x, secret", "SELECT (SELECT a FROM secret)",
			"SELECT * FROM orders WHERE id IN (SELECT id FROM secret)", "SELECT * FROM orders WHERE EXISTS (TABLE secret)",
			"SELECT * FROM orders UNION SELECT * FROM secret", "WITH secret AS (SELECT * FROM secret) SELECT 1",
			"WITH secret AS (SELECT 1) DELETE FROM secret", "SELECT ((((((((((1))))))))))", "SELECT (1", "SELECT 1)",
			"SELECT * FROM secret WHERE id IN (WITH secret AS (SELECT 1) SELECT 1 FROM secret)",
			"SELECT a OVER w FROM secret WINDOW w AS (ORDER BY a), secret AS (ORDER BY b)",
		]
		runs(listed_tables, text)
	} == set()
}

test_sql_that_writes_to_other_tables if {
	{text |
		some text in [
			"DELETE FROM secret", "DELETE secret", "DELETE orders FROM secret", "DELETE FROM orders USING secret",
			"INSERT secret VALUES (1)", "INSERT INTO secret VALUES (1)", "UPDATE secret SET a = 1",
			"UPDATE orders, secret SET a = 1", "UPDATE orders SET a = (SELECT a FROM secret)",
			"UPDATE orders SET a = 1 FROM secret", "DELETE FROM orders UPDATE secret SET a = 1", "SELECT * FROM orders FOR UPDATE",
		]
		runs(listed_tables, text)
	} == set()
}

test_sql_malformed_tables if {
	not runs({"verbs": ["select", "merge"], "tables": ["orders"]}, "SELECT * FROM orders")
	not runs({"verbs": ["select"], "tables": [".*"]}, "SELECT * FROM secret")
	not runs({"verbs": ["select"], "tables": []}, "SELECT * FROM secret")
}
