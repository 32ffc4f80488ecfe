package policy

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// users is a JSON text of so many users that they make a table.
func users() string {
	var text strings.Builder
	text.WriteString("{")
	for n := range minMembers + 1000 {
		fmt.Fprintf(&text, "\"user-%d\" :\n\t{ \"tenant\" : \"t%d\", \"roles\": [\"a\", {\"b\": [%d.50, null]}] },\n", n, n%3, n)
	}
	fmt.Fprintf(&text, `"scalar": 1.0, "\u0061\"b": {"tenant": "\u0061"}, "": {"": []}, "7": [[], {"0": 1}], "large": ["%s"]}`, strings.Repeat("x", maxRow))
	return text.String()
}

func TestTableReadsAsTerms(t *testing.T) {
	files := map[string][]byte{
		"org/data.json": []byte(`{"users": ` + users() + `, "other": {"a": 1}}`), "data.json": []byte(`{"org": {"more": {}}}`),
	}
	d, err := dataOf(files, []string{"org"}, func([]string) bool { return true })
	if err != nil || len(d.tables) != 1 {
		t.Fatal(len(d.tables), err)
	}
	if n := len(d.tables[0].rows); n < 1000 || n > 1003 {
		t.Errorf("%d rows", n)
	}
	all, err := d.whole()
	if err != nil {
		t.Fatal(err)
	}
	got, want := newStore(d), inmem.NewFromASTObject(all)
	places := []string{
		"", "org", "org/more", "org/none", "org/users", "other", "org/other/a", "org/users/none", "org/users/none/x",
		"org/users/scalar", "org/users/scalar/x", "org/users/a\"b/tenant", "org/users/", "org/users//", "org/users///x",
		"org/users/7", "org/users/7/0", "org/users/7/1/0", "org/users/7/2", "org/users/7/00", "org/users/7/-1", "org/users/large", "org/users/large/0",
	}
	for _, n := range []int{0, minMembers - 1, minMembers, minMembers + 1, minMembers + 999} {
		for _, rest := range []string{"", "/tenant", "/roles", "/roles/1/b/0", "/roles/x", "/none", "/tenant/x"} {
			places = append(places, fmt.Sprintf("org/users/user-%d%s", n, rest))
		}
	}
	for _, place := range places {
		v, err := readAt(t, got, place)
		w, wrong := readAt(t, want, place)
		if (err == nil) != (wrong == nil) || storage.IsNotFound(err) != storage.IsNotFound(wrong) {
			t.Errorf("%q: error %v, want %v", place, err, wrong)
		}
		if err == nil && v.(ast.Value).Compare(w.(ast.Value)) != 0 {
			t.Errorf("%q: not what it is as a term", place)
		}
	}
}

func readAt(t *testing.T, store storage.Store, place string) (any, error) {
	t.Helper()
	txn, err := store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := storage.Path(strings.Split(place, "/"))
	if place == "" {
		path = storage.RootPath
	}
	return store.Read(t.Context(), txn, path)
}

func TestNoTableOfManyFiles(t *testing.T) {
	keep := func([]string) bool { return true }
	files := map[string][]byte{"data.json": []byte(`{"users": ` + users() + `}`), "users/new/data.json": []byte(`{"tenant": "t"}`)}
	d, err := dataOf(files, []string{""}, keep)
	if err != nil || len(d.tables) != 0 || d.terms.Get(ast.StringTerm("users")).Value.(ast.Object).Len() != minMembers+1006 {
		t.Errorf("%d tables, %v", len(d.tables), err)
	}
	last := fmt.Sprintf("users/user-%d", minMembers+999)
	files[last+"/data.json"] = []byte(`{"x": 1}`)
	delete(files, "users/new/data.json")
	if d, err = dataOf(files, []string{""}, keep); err != nil || len(d.tables) != 0 {
		t.Errorf("%d tables, %v", len(d.tables), err)
	}
	files[last+"/data.json"] = []byte(`{"tenant": "x"}`)
	if _, err = dataOf(files, []string{""}, keep); err == nil || !strings.Contains(err.Error(), "failed to insert") {
		t.Errorf("error %v", err)
	}
	if d, err = dataOf(map[string][]byte{"data.json": files["data.json"]}, []string{"users/large"}, keep); err == nil {
		t.Errorf("%d tables outside of the roots", len(d.tables))
	}
}

func TestRootIsNoTable(t *testing.T) {
	d, err := dataOf(map[string][]byte{"data.json": []byte(users())}, []string{""}, func([]string) bool { return true })
	if err != nil || len(d.tables) != 0 {
		t.Errorf("%d tables, %v", len(d.tables), err)
	}
}

func TestNameTwiceInTable(t *testing.T) {
	for _, name := range []string{"user-0", "user-17000", "scalar", "7"} {
		text := strings.TrimSuffix(users(), "}") + `, "` + name + `": {"tenant": "last"}}`
		d, err := dataOf(map[string][]byte{"users/data.json": []byte(text)}, []string{""}, func([]string) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		v, err := readAt(t, newStore(d), "users/"+name+"/tenant")
		if err != nil || v != ast.Value(ast.String("last")) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func TestTableIsReadByName(t *testing.T) {
	table := users()
	for rule, byName := range map[string]bool{
		`data.users[input.user.id].tenant == "t1"`:                     true,
		`data.users[input.user.id]["tenant"] == "t1"`:                  true,
		`u := input.user.id; row := data.users[u]; row.tenant == "t1"`: true,
		`some u; data.users[u].tenant == "t1"; u == input.user.id`:     false,
		`is(input.user.id)`: true,
		`"t1" in {x | some r in [input.user.id]; x := data.users[r].tenant}`:                       true,
		`"t1" in [data.users[r].tenant | some r in [input.user.id]]`:                               true,
		`every r in [input.user.id] { data.users[r].tenant == "t1" }`:                              true,
		`not data.users[input.user.id].tenant == "t2"`:                                             true,
		`data["users"][input.user.id].tenant == "t1"`:                                              true,
		`input.user.id == "user-1"`:                                                                true,
		`data.users[input.user.id][k] == "t1"; k == "tenant"`:                                      true,
		`some u, row in data.users; u == input.user.id; row.tenant == "t1"`:                        false,
		`data.users[u].tenant == "t1"; u != "x"; endswith(u, input.user.id)`:                       false,
		`object.get(data.users, input.user.id, {"tenant": "t1"}).tenant == "t1"`:                   false,
		`count(data.users) > 10; data.users[input.user.id].tenant == "t1"`:                         false,
		`data.users[input.user.id].tenant == "t1" with data.users as {input.user.id: {}}`:          false,
		`not count({u | data.users[u].tenant == "t9"}) > 0`:                                        false,
		`x := {"n": 1}; y := {u: v | v := data.users[u]}; y[input.user.id].tenant == "t1"; x.n==1`: false,
	} {
		s := load(t, map[string]string{
			"users/data.json": table,
			"p.rego":          "package mcp\ndecision := {\"allow\": allow}\ndefault allow := false\nallow if {" + rule + "}\nis(id) if data.users[id].tenant == \"t1\"",
		})
		all, kept := s.store.(*tables)
		if kept != byName {
			t.Errorf("%s: a table: %v", rule, kept)
		}
		if !kept {
			continue
		}
		terms, err := all.whole()
		if err != nil {
			t.Fatal(err)
		}
		all.whole = func() (ast.Object, error) {
			t.Errorf("%s: read as a whole", rule)
			return terms, nil
		}
		ids := []string{"user-1", "user-2", "user-17000", "user-17001", "none", "scalar", "7", `a"b`, ""}
		decide := func() (allowed []bool) {
			for _, id := range ids {
				d := s.DecideDocument(value(t, fmt.Sprintf(`{"user": {"id": %q}}`, id)))
				if d.Err != nil {
					t.Errorf("%s: %s: %v", rule, id, d.Err)
				}
				allowed = append(allowed, d.Allow)
			}
			return allowed
		}
		got := decide()
		s.store = inmem.NewFromASTObject(terms)
		if s.txn, err = s.store.NewTransaction(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := decide(); !slices.Equal(got, want) {
			t.Errorf("%s: of %v %v are allowed, as terms %v", rule, ids, got, want)
		}
	}
}

func BenchmarkRow(b *testing.B) {
	s := load(b, map[string]string{"users/data.json": users(), "p.rego": "package mcp\ndecision := {\"allow\": data.users[input.id].tenant == \"t1\"}"})
	for _, id := range []string{"user-1", "user-17000"} {
		document, err := mcp.ParseValue(fmt.Sprintf(`{"id": %q}`, id))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(id, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.DecideDocument(document)
			}
		})
	}
}

// A row that could not be decoded later is found when it is read first.
func TestRowIsChecked(t *testing.T) {
	for row, want := range map[string]string{
		`{"a": 1, "b": {"\u0061": 1, "a": 2}}`: "",
		`{"a": [1e100000]}`:                    "number too big",
		`{"a": "3e8", "b": 1e3}`:               "",
	} {
		text := strings.TrimSuffix(users(), "}") + `, "last": ` + row + `}`
		d, err := dataOf(map[string][]byte{"users/data.json": []byte(text)}, []string{""}, func([]string) bool { return true })
		switch {
		case want != "":
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v", row, err)
			}
			continue
		case err != nil:
			t.Fatalf("%s: %v", row, err)
		}
		all, err := d.whole()
		if err != nil {
			t.Fatal(err)
		}
		want, _ := all.Find(refOf([]string{"users", "last"}))
		if got, err := readAt(t, newStore(d), "users/last"); err != nil || got.(ast.Value).Compare(want) != 0 {
			t.Errorf("%s: %v, %v, want %v", row, got, err, want)
		}
	}
}

// Another member with the same hash is no row, and is not taken for it.
func TestRowsOfOneHash(t *testing.T) {
	tab := table{text: `{"a":[1],"b":[2]}`, seed: maphash.MakeSeed(), rows: map[uint64]row{}}
	if !tab.add("a", 3, 8, 3) {
		t.Fatal("not added")
	}
	tab.rows[maphash.String(tab.seed, "b")] = tab.rows[maphash.String(tab.seed, "a")]
	if text, ok := tab.row("a"); !ok || text != "[1]" {
		t.Errorf("a is %q, %v", text, ok)
	}
	if text, ok := tab.row("b"); ok {
		t.Errorf("b is %q", text)
	}
	if tab.add("b", 11, 16, 3) {
		t.Error("b took the place of another")
	}
}

func FuzzCheckRow(f *testing.F) {
	for _, text := range []string{`{"a":{"b":1,"b":2}}`, `[1E400000000, "1e5"]`, `{"\u0061":1,"a":[]}`, `["\ud800"]`, `[-0.1e-7]`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := newDecoder(text)
		if raw, err := d.read(); err != nil || len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
			return
		} else if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
			return // it is no row
		}
		_, wrong := decodeRow(text)
		if err := checkRow(text); (err == nil) != (wrong == nil) {
			t.Errorf("%q: error %v, want %v", text, err, wrong)
		}
	})
}
