package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/lineage"
	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// testTime is how long one test may take, on a busy machine too.
const testTime = time.Minute

// A testRun is what policy test is asked to do.
type testRun struct {
	coverage, verbose bool
	threshold         float64
	run               string
	as                format
	out               io.Writer
}

func policyTestCommand() *cobra.Command {
	r := &testRun{}
	cmd := &cobra.Command{
		Use:   "test [PATH…]",
		Short: "Run the tests of policies",
		Long: `Run the rules that begin with test_, as opa test does, but with what the gateway
has: its built-ins only, and a built-in that fails is an error.

Exit codes: 0 all pass, 1 one does not or the coverage is below the threshold,
2 the tests cannot run or there are none.`,
		Example: "  gatehouse policy test --coverage --threshold 100 policies",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			r.out = cmd.OutOrStdout()
			r.coverage = r.coverage || cmd.Flags().Changed("threshold")
			return r.test(cmd.Context(), orHere(paths))
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&r.coverage, "coverage", "c", false, "tell which lines the tests reach")
	f.Float64Var(&r.threshold, "threshold", 0, "the `percent` of lines that they must reach")
	f.StringVarP(&r.run, "run", "r", "", "only tests whose full name matches the `regex`")
	f.BoolVarP(&r.verbose, "verbose", "v", false, "tell of each test, and why one fails")
	r.as.flag(cmd)
	return cmd
}

func (r *testRun) test(ctx context.Context, paths []string) error {
	w, err := loadWorkspace(paths)
	if err != nil {
		return err
	}
	reached := cover.New()
	results, err := r.results(ctx, w, reached)
	if err != nil {
		return err
	}
	if len(results) == 0 {
		return errors.New("there are no tests")
	}
	var report *cover.Report
	if r.coverage {
		found := reached.Report(w.modules)
		report = &found
	}
	if r.as.json() {
		err = printJSON(r.out, map[string]any{"results": results, "coverage": report})
	} else {
		err = r.print(results, report)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(results, func(t *tester.Result) bool { return !t.Pass() && !t.Skip }) {
		return no()
	}
	if report != nil && report.Coverage < r.threshold {
		return refused(fmt.Errorf("coverage %.2f %% is below %v %%", report.Coverage, r.threshold))
	}
	return nil
}

// results runs the tests, and returns how each went, in the order of the files.
func (r *testRun) results(ctx context.Context, w *workspace, reached *cover.Cover) ([]*tester.Result, error) {
	store, txn, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	traced := r.verbose && !r.coverage // the tester does either
	compiler := policy.NewCompiler().SetErrorLimit(0).WithEnablePrintStatements(true).
		WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn)).WithRewriteTestRules(traced)
	runner := tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(w.modules).
		RaiseBuiltinErrors(true).EnableTracing(traced).Filter(r.run).SetTimeout(testTime)
	if r.coverage {
		runner = runner.SetCoverageQueryTracer(reached)
	}
	running, err := runner.RunTests(ctx, txn)
	if err != nil {
		return nil, err
	}
	var results []*tester.Result
	for t := range running {
		t.Trace = lineage.Filter(t.Trace, func(e *topdown.Event) bool { return e.Op == topdown.FailOp })
		if t.Pass() || r.as.json() {
			t.Trace = nil
		}
		if _, ok := errors.AsType[*topdown.Error](t.Error); !ok && t.Error != nil {
			t.Error = &topdown.Error{Message: t.Error.Error()} // several; JSON would be without their text
		}
		results = append(results, t)
	}
	slices.SortFunc(results, func(a, b *tester.Result) int { return a.Location.Compare(b.Location) })
	return results, ctx.Err()
}

func (r *testRun) print(results []*tester.Result, report *cover.Report) error {
	ch := make(chan *tester.Result, len(results))
	for _, t := range results {
		ch <- t
	}
	close(ch)
	err := tester.PrettyReporter{Output: r.out, Verbose: r.verbose, FailureLine: r.verbose, LocalVars: r.verbose}.Report(ch)
	if err != nil || report == nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(report.Files)) {
		last := 0
		for _, at := range report.Files[name].NotCovered {
			if at.Start.Row > last {
				fmt.Fprintf(r.out, "%s:%d: not reached\n", name, at.Start.Row)
			}
			last = at.Start.Row
		}
	}
	_, err = fmt.Fprintf(r.out, "coverage: %.2f %%\n", report.Coverage)
	return err
}
