package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// One builder makes all the terms, over several slabs: none may change another,
// nor what was made before.
func TestTerms(t *testing.T) {
	long := `[` + strings.Repeat(`{"a":[1,{"b":"x"}]},`, maxSlab) + `0]`
	build, made := newTerms(), map[string]*ast.Term{}
	for _, text := range []string{
		`null`, `true`, `false`, `""`, `"request"`, `1e2`, `[]`, `{}`, `[[],{}]`, long,
		`{"name":"n","arguments":{"a":{"b":{"c":[]},"d":2},"e":3},"_meta":{"x":null}}`,
		`{"a":{"name":1},"b":{"name":2},"name":{"a":{"name":{}}}}`, `"\u00e9\n"`,
	} {
		made[text] = build.value(value(t, text))
	}
	for text, term := range made {
		if want := ast.MustParseTerm(text); !term.Equal(want) || fmt.Sprint(term) != fmt.Sprint(want) {
			t.Errorf("%.60s: %.60v", text, term)
		}
	}
}
