package stories

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/open-policy-agent/opa/v1/tester"
)

// opaTest is the command opa-test DIR, which does what opa test does.
func opaTest() {
	modules, store, err := tester.Load(os.Args[1:], nil)
	if err != nil {
		fail(err)
	}
	ctx := context.Background()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		fail(err)
	}
	results, err := tester.NewRunner().SetStore(store).SetModules(modules).RunTests(ctx, txn)
	if err != nil {
		fail(err)
	}
	passed, all := 0, 0
	for r := range results {
		if all++; r.Pass() {
			passed++
		}
	}
	_, _ = fmt.Fprintf(os.Stdout, "PASS: %d/%d\n", passed, all)
	if passed < all {
		fail(errors.New("some failed"))
	}
}
