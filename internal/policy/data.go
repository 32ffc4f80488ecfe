package policy

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// holdsData reports whether a file holds data, which is at the place of its folder.
func holdsData(name string) bool {
	return path.Base(name) == "data.json" || bundle.IsYAMLDataFile(name)
}

// data is that of a bundle.
type data struct {
	terms  ast.Object
	tables []table
	whole  func() (ast.Object, error) // with the rows of the tables
}

// dataOf makes one object of all the data of a bundle, as OPA does: no two files
// may speak of one place, and none of a place outside the roots. What keep says
// may be tables.
func dataOf(files map[string][]byte, roots []string, keep func([]string) bool) (*data, error) {
	texts := map[string]string{}
	for name, raw := range files {
		if holdsData(name) {
			texts[name] = mcp.Text(raw)
		}
	}
	whole := func() (ast.Object, error) {
		d, err := join(texts, nil)
		return d.terms, err
	}
	d, err := join(texts, func(place []string) bool {
		return len(place) > 0 && bundle.RootPathsContain(roots, strings.Join(place, "/")) && keep(place)
	})
	if err == nil && !d.apart() {
		d.tables = nil
		d.terms, err = whole()
	}
	if err == nil {
		err = permitted(d.terms, "", roots)
	}
	d.whole = whole
	return d, err
}

// apart reports whether each table is all of one file.
func (d *data) apart() bool {
	for _, t := range d.tables {
		v, _ := d.terms.Find(refOf(t.place))
		if o, ok := v.(ast.Object); !ok || o.Len() != t.terms.Len() {
			return false
		}
	}
	return true
}

func refOf(place []string) ast.Ref {
	ref := make(ast.Ref, len(place))
	for i, name := range place {
		ref[i] = ast.StringTerm(name)
	}
	return ref
}

// join reads the files.
func join(texts map[string]string, keep func([]string) bool) (*data, error) {
	d := &data{terms: ast.NewObject()}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if err := d.add(name, texts[name], keep); err != nil {
			return d, fmt.Errorf("bundle load failed on /%s: %w", name, err)
		}
	}
	return d, nil
}

// add reads a file.
func (d *data) add(name, text string, keep func([]string) bool) error {
	var folder []string
	if at := strings.TrimLeft(path.Dir(name), "/."); at != "" {
		folder = strings.Split(at, "/")
	}
	v, tables, err := readData(name, text, func(place []string) bool {
		return keep != nil && keep(slices.Concat(folder, place))
	})
	if err != nil {
		return err
	}
	for _, t := range tables {
		t.place = slices.Concat(folder, t.place)
		d.tables = append(d.tables, t)
	}
	return d.insert(folder, v)
}

// readData reads a file as OPA does: what is not strict JSON, it reads itself.
func readData(name, text string, keep func([]string) bool) (ast.Value, []table, error) {
	unmarshal := util.Unmarshal
	if path.Base(name) == "data.json" {
		if term, tables, err := decode(text, keep); err == nil {
			return term.Value, tables, nil
		}
		unmarshal = util.UnmarshalJSON
	}
	var plain any
	if err := unmarshal(mcp.Bytes(text), &plain); err != nil {
		return nil, nil, err
	}
	v, err := ast.InterfaceToValue(plain)
	return v, nil, err
}

// insert adds a value at a place.
func (d *data) insert(place []string, v ast.Value) error {
	for _, part := range slices.Backward(place) {
		v = ast.NewObject([2]*ast.Term{ast.StringTerm(part), ast.NewTerm(v)})
	}
	o, ok := v.(ast.Object)
	if !ok {
		return errors.New("root value must be object")
	}
	if d.terms.Len() == 0 {
		d.terms = o
		return nil
	}
	if d.terms, ok = d.terms.Merge(o); !ok {
		return fmt.Errorf("failed to insert data file from path %s", strings.Join(place, "/"))
	}
	return nil
}

// permitted refuses data outside the roots.
func permitted(v ast.Value, place string, roots []string) error {
	at := strings.Trim(place, "/")
	if bundle.RootPathsContain(roots, at) {
		return nil
	}
	o, isObject := v.(ast.Object)
	above := func(root string) bool { return bundle.RootPathsContain(strings.Split(at, "/"), root) }
	if !isObject || !slices.ContainsFunc(roots, above) {
		return fmt.Errorf("manifest roots %v do not permit data at path '/%s' (hint: check bundle directory structure)", roots, at)
	}
	return o.Iter(func(name, member *ast.Term) error {
		return permitted(member.Value, place+"/"+string(name.Value.(ast.String)), roots)
	})
}

// plain is what the gateway itself looks at, as JSON is decoded. It is never in
// a table.
func (d *data) plain() map[string]any {
	all := map[string]any{}
	for _, name := range ownData {
		if t := d.terms.Get(ast.StringTerm(name)); t != nil {
			all[name] = ast.MustJSON(t.Value)
		}
	}
	return all
}

// ownData are the members that the gateway itself looks at.
var ownData = []string{"secrets", "arguments"}
