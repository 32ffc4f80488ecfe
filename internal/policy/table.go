package policy

import (
	"context"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// A table is an object of many members that is never read whole. Most are kept
// as they are written: as terms they would be ten times as large, and the
// collector would look at each of them again and again.
type table struct {
	place []string
	terms ast.Object        // the members that are terms nevertheless
	rows  map[string]string // the texts of the others
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
		if text, ok := t.rows[place[n]]; ok {
			row, err := decodeRow(text)
			if err != nil {
				return nil, err
			}
			return readOf(ctx, ast.NewObject([2]*ast.Term{ast.StringTerm(place[n]), row}), place[n:])
		}
	}
	return s.Store.Read(ctx, txn, place)
}

func readOf(ctx context.Context, o ast.Object, place storage.Path) (any, error) {
	store := inmem.NewFromASTObject(o)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	return store.Read(ctx, txn, place)
}
