# SQL in arguments: the keyword `sql` for the bounds of arguments.rego. It takes a statement
# apart into tokens that every dialect reads alike, and refuses what is no such token:
# comments, backslashes, dollar and bracket quoting, characters beyond ASCII outside of
# strings. When in doubt it refuses; the rights of the database's own user remain the last word.
#
#   "sql": {"verbs": ["select"],              each verb in the statement, nested ones too
#           "tables": ["public.orders"],      left out: any
#           "functions": ["my_sum"],          beside the plain ones below
#           "words": ["comment"]}             verbs that are names here
package mcp

holds(keyword, rules, value) if {
	keyword == "sql"
	is_string(value)
	count(value) <= 4000
	tokens := regex.find_n(sql_token, value, -1)
	concat("", tokens) == value
	kinds := [kind | some token in tokens; kind := sql_kind(token)]
	not regex.match(`C|[SQNWP][SQNWP]|N\.|\.N`, concat("", kinds))
	text := sql_text(tokens)
	sql_verbs_allowed(rules, text)
	sql_calls_allowed(rules, text)
	sql_tables_allowed(rules, text)
}

bound_reasons["sql"] := "sql_not_allowed"

# White space; a string; a quoted name; a number; a word; a parameter; a comment's beginning or
# end, before the operators that it is made of. In strings stand printable ASCII but no
# backslash, and letters, digits, punctuation and currencies that fold into no quote.
sql_token := concat("|", [
	`[ \t\r\n]+`,
	`'(?:[\t\r\n -&(-\[\]-~\p{Lu}\p{Ll}\p{Lo}\p{Mn}\p{Mc}\p{Nd}\p{Sc}\p{So}–—…]|'')*'`,
	`"[A-Za-z_][A-Za-z0-9_]*"`,
	`[0-9]+(?:\.[0-9]+)?`,
	`[A-Za-z_][A-Za-z0-9_]*`,
	`[$:][A-Za-z0-9_]+|\?`,
	`--|/\*|\*/|#`,
	`::|<=|>=|<>|!=|\|\||[-+*/%<>=(),.;]`,
])

# One letter a kind, so that a pattern can tell which stand side by side.
sql_kind(token) := "C" if {
	token in {"--", "/*", "*/", "#"}
} else := "S" if {
	startswith(token, "'")
} else := "Q" if {
	startswith(token, `"`)
} else := "N" if {
	regex.match(`^[0-9]`, token)
} else := "W" if {
	regex.match(`^[A-Za-z_]`, token)
} else := "P" if {
	regex.match(`^(?:[$:][A-Za-z0-9_]|\?)`, token)
} else := "." if {
	token == "."
} else := " "

# The statement in lower case, with one space around each token and no values, up to its
# one semicolon, which ends it.
sql_text(tokens) := text if {
	words := [word |
		some token in tokens
		not regex.match(`^[ \t\r\n]`, token)
		word := sql_word(token)
	]
	text := concat("", [" ", trim_suffix(concat(" ", words), " ;"), " "])
	not contains(text, " ; ")
}

sql_word(token) := "'" if {
	sql_kind(token) == "S"
} else := "0" if {
	sql_kind(token) == "N"
} else := "?" if {
	sql_kind(token) == "P"
} else := lower(token)

# Each word that some dialect takes for a verb, wherever it stands: some need no semicolon
# between two statements. REPLACE with parentheses is a function.
sql_verbs_allowed(rules, text) if {
	verbs := {lower(verb) | some verb in rules.verbs}
	[[_, first]] := regex.find_all_string_submatch_n(`^(?: \()* ([a-z_]+) `, text, 1)
	first in (verbs | {"with"})
	called := replace(text, " replace (", " (")
	words := {word |
		some word in split(called, " ")
		word in sql_verbs
		not word in verbs
		not sql_brought(word, verbs)
	}
	words - {lower(word) | some word in object.get(rules, "words", [])} == set()
	every into in regex.find_n(`[^ ]+ into `, called, -1) {
		split(into, " ")[0] in ({"insert", "replace", "merge"} & verbs)
	}
}

# A word of the statements of other verbs.
sql_brought("into", verbs) if some _ in ({"insert", "merge", "replace"} & verbs)

sql_brought("set", verbs) if some _ in ({"merge", "update"} & verbs)

sql_verbs := {
	"abort", "add", "alter", "analyze", "attach", "backup", "begin", "bulk", "call", "checkpoint", "close",
	"cluster", "comment", "commit", "copy", "create", "dbcc", "deallocate", "declare", "delete", "deny",
	"describe", "detach", "disable", "discard", "do", "drop", "dump", "enable", "exec", "execute", "explain",
	"export", "fetch", "flush", "goto", "grant", "handler", "help", "import", "insert", "install", "into",
	"kill", "listen", "load", "lock", "merge", "move", "notify", "open", "optimize", "outfile", "dumpfile",
	"pragma", "prepare", "print", "program", "purge", "raiserror", "read", "reassign", "reconfigure",
	"refresh", "reindex", "release", "rename", "repair", "replace", "reset", "restore", "return", "revert",
	"revoke", "rollback", "save", "savepoint", "select", "set", "show", "shutdown", "signal", "start", "stop",
	"table", "throw", "truncate", "unload", "unlisten", "unlock", "update", "upsert", "use", "vacuum",
	"waitfor", "while", "xa",
}

# What is called like a function has to be one of the plain ones: there is no end to those
# that read files, sleep, or run what a string says.
sql_calls_allowed(rules, text) if {
	# The columns of an insertion look like arguments.
	calls := regex.replace(text, ` into ((?:[^ ]+ \. )*[^ ]+) \(`, " into $1 , (")
	verbs := {lower(verb) | some verb in rules.verbs} & {"select", "insert", "values"}
	more := {lower(name) | some name in object.get(rules, "functions", [])}
	every call in regex.find_all_string_submatch_n(` ((?:[a-z_"][^ ]* \. )*[a-z_"][^ ]*) \(`, calls, -1) {
		replace(call[1], " ", "") in (((sql_functions | more) | sql_before_parens) | verbs)
	}
}

sql_functions := {
	"abs", "avg", "bool_and", "bool_or", "cast", "ceil", "ceiling", "char", "char_length", "coalesce",
	"concat", "count", "cume_dist", "date", "date_part", "date_trunc", "dateadd", "datediff", "decimal",
	"dense_rank", "exp", "extract", "first_value", "floor", "greatest", "iif", "ifnull", "isnull", "lag",
	"last_value", "lead", "least", "left", "length", "ln", "log", "lower", "lpad", "ltrim", "max", "median",
	"min", "mod", "month", "now", "nth_value", "ntile", "nullif", "numeric", "nvl", "percent_rank",
	"percentile_cont", "position", "power", "rank", "replace", "right", "round", "row_number", "rpad",
	"rtrim", "sign", "sqrt", "stddev", "strftime", "string_agg", "strpos", "substr", "substring", "sum",
	"timestamp", "to_char", "to_date", "trim", "upper", "varchar", "variance", "year",
}

sql_before_parens := {
	"all", "and", "any", "as", "between", "by", "case", "conflict", "distinct", "else", "except", "exists", "filter",
	"from", "having", "in", "intersect", "is", "join", "like", "limit", "materialized", "not", "offset",
	"on", "or", "over", "returning", "some", "then", "union", "using", "values", "when", "where",
}

# The tables: with a list of them, each place where a table may stand must hold one of them,
# a query in parentheses, or in the outermost query one that a leading WITH defines.
sql_tables_allowed(rules, _) if not rules.tables

sql_tables_allowed(rules, text) if {
	every verb in rules.verbs {
		lower(verb) in {"select", "insert", "update", "delete"}
	}
	tables := [replace(lower(name), ".", ` \. `) |
		some name in rules.tables
		regex.match(`^[A-Za-z_"][A-Za-z0-9_".]*$`, name)
	]
	parts := sql_parts(regex.replace(text, ` extract \( [a-z]+ from `, " extract ( 0 , "))
	every part in parts.inner {
		sql_sources_allowed(tables, part)
	}
	sql_sources_allowed(array.concat(tables, sql_defined(parts.outer)), parts.outer)
	sql_targets_allowed(tables, text)
}

# The statement by parentheses: each pair without others inside is a part, and gives way to
# <q> if a query is in it and to <e> if not; what is left in the end has none.
sql_parts(text) := {"inner": inner, "outer": t8} if {
	t1 := sql_fold(text)
	t2 := sql_fold(t1)
	t3 := sql_fold(t2)
	t4 := sql_fold(t3)
	t5 := sql_fold(t4)
	t6 := sql_fold(t5)
	t7 := sql_fold(t6)
	t8 := sql_fold(t7)
	not regex.match(`[()]`, t8)
	levels := [text, t1, t2, t3, t4, t5, t6, t7]
	inner := [part | some level in levels; some part in regex.find_n(`\([^()]*\)`, level, -1)]
}

sql_fold(text) := regex.replace(regex.replace(text, `\( (?:select|values) [^()]*\)`, "<q>"), `\([^()]*\)`, "<e>")

sql_defined(outer) := [split(part, " ")[0] |
	some head in regex.find_n(`^ with (?:[a-z_][a-z0-9_]* as <q> , )*[a-z_][a-z0-9_]* as <q> `, outer, 1)
	some part in split(trim_prefix(head, " with "), " , ")
]

# After each FROM: tables, joined or in a row, up to a word that no dialect takes for a name.
sql_sources_allowed(tables, part) if {
	source := sprintf(`^(?:%s|<q>)(?: as)?(?: [a-z_][a-z0-9_]*)?(?: on .*| using <e>)?$`, [concat("|", tables)])
	every from in array.slice(split(part, " from "), 1, 10000) {
		list := regex.split(` (?:where|group|having|order|union|intersect|except|select) `, concat("", [from, " "]))[0]
		not regex.match(` (?:straight_join|apply|lateral|only|unnest|table) `, list)
		every item in regex.split(`(?: (?:natural|inner|cross|left|right|full|outer))* join | , `, list) {
			regex.match(source, trim_suffix(trim(item, " "), " )"))
		}
	}
}

# What is written to is a table of the list, and never one that the statement defines.
sql_targets_allowed(tables, text) if {
	spaced := replace(text, " ", "  ") # each word has spaces of its own
	table := concat("|", [replace(name, " ", "  ") | some name in tables])
	verbs := regex.find_n(` (?:insert|update|delete) `, spaced, -1)
	targets := regex.find_n(
		sprintf(
			` (?:insert  into  (?:%s)|update  (?:%s)(?:  as)?(?:  [a-z_][a-z0-9_]*)?  set|do  update  set|delete  from  (?:%s)) `,
			[table, table, table],
		),
		spaced, -1,
	)
	count(verbs) == count(targets)
}
