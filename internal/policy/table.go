package policy

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A table is an object of many members that is never read whole. Most are kept
// as they are written: as terms they would be ten times as large, and the
// collector would look at each of them again and again.
type table struct {
	place []string
	terms ast.Object // the members that are terms nevertheless
	text  string     // with the others
	seed  maphash.Seed
	rows  map[uint64]row // the others, by the hash of their names
}

// A row is where the name and the value of a member are. It has no pointers, or
// the collector would follow each.
type row struct{ name, length, start, end uint32 }

// row is the text of a member.
func (t *table) row(name string) (string, bool) {
	r, ok := t.rows[maphash.String(t.seed, name)]
	if !ok || t.text[r.name:r.name+r.length] != name {
		return "", false
	}
	return t.text[r.start:r.end], true
}

// add adds a member whose name and text end there, or reports false where another
// has its hash.
func (t *table) add(name string, named, end int64, length int) bool {
	hash := maphash.String(t.seed, name)
	if _, taken := t.rows[hash]; taken {
		return false
	}
	t.rows[hash] = row{uint32(named) - uint32(len(name)), uint32(len(name)), uint32(end) - uint32(length), uint32(end)}
	return true
}

// Bounds on what is kept as it is written: decisions decode it each time.
const (
	minMembers = 1 << 14
	maxRow     = 4 << 10
)

// tables are a store of data with tables.
type tables struct {
	storage.Store // has what is not in rows
	all           []table
	whole         func() (ast.Object, error) // all the data
}

func newStore(d *data) storage.Store {
	store := inmem.NewFromASTObject(d.terms)
	if len(d.tables) == 0 {
		return store
	}
	return &tables{store, d.tables, sync.OnceValues(d.whole)}
}

func (s *tables) Read(ctx context.Context, txn storage.Transaction, place storage.Path) (any, error) {
	for _, t := range s.all {
		n := min(len(place), len(t.place))
		if !slices.Equal(place[:n], t.place[:n]) {
			continue
		}
		if len(place) == n {
			all, err := s.whole()
			if err != nil {
				return nil, err
			}
			return readOf(ctx, all, place)
		}
		if text, ok := t.row(place[n]); ok {
			row, err := decodeRow(text)
			if err != nil {
				return nil, err
			}
			return readOf(ctx, ast.NewObject([2]*ast.Term{ast.StringTerm(place[n]), row}), place[n:])
		}
	}
	return s.Store.Read(ctx, txn, place)
}

// checkRow reports whether decodeRow can read a text that is JSON.
func checkRow(text string) error {
	if jsontext.Value(mcp.Bytes(text)).IsValid() && !mayScale(text) {
		return nil
	}
	_, err := decodeRow(text)
	return err
}

// mayScale reports whether there may be a number with an exponent, which OPA
// knows bounds for.
func mayScale(text string) bool {
	for i := range len(text) - 1 {
		if text[i] >= '0' && text[i] <= '9' && text[i+1]|0x20 == 'e' {
			return true
		}
	}
	return false
}

func decodeRow(text string) (*ast.Term, error) { return newDecoder(text).all() }

func readOf(ctx context.Context, o ast.Object, place storage.Path) (any, error) {
	store := inmem.NewFromASTObject(o)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	return store.Read(ctx, txn, place)
}
