package main

import (
	"context"
	"fmt"
	"io"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func policyCheckCommand() *cobra.Command {
	var decision string
	var as format
	cmd := &cobra.Command{
		Use:   "check [PATH…]",
		Short: "Find what is wrong with policies without running them",
		Long: `Find what is wrong with policies without running them: whatever would keep the
gateway from activating them, a member that the input does not have (as in
input.tol.name), a value that a member never is, unused imports and variables.

Exit codes: 0 nothing was found, 1 something was, 2 a path cannot be read.`,
		Example: "  gatehouse policy check policies\n  gatehouse policy check --format json bundle.tar.gz",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			return policyCheck(cmd.Context(), cmd.OutOrStdout(), orHere(paths), decision, as)
		},
	}
	cmd.Flags().StringVar(&decision, "decision", "mcp/decision", "`rule` that decides")
	as.flag(cmd)
	return cmd
}

func policyCheck(ctx context.Context, out io.Writer, paths []string, decision string, as format) error {
	w, err := loadWorkspace(paths)
	var found []policy.Finding
	if err == nil {
		found, err = w.check(ctx, decision)
	} else if found = findings(err); found != nil {
		err = nil // it cannot be parsed
	}
	switch {
	case err != nil:
		return err
	case as.json():
		err = printJSON(out, map[string]any{"findings": found})
	case len(found) == 0:
		_, err = fmt.Fprintf(out, "ok: %s\n", plural(len(w.modules), "file"))
	default:
		for _, f := range found {
			fmt.Fprintln(out, f)
		}
	}
	if err == nil && len(found) > 0 {
		return no()
	}
	return err
}

// check finds what keeps the modules from being a good policy.
func (w *workspace) check(ctx context.Context, decision string) ([]policy.Finding, error) {
	if found := policy.Lint(w.modules, true); len(found) > 0 {
		return found, nil
	}
	c, err := w.compile(ctx, w.rules())
	if err != nil {
		if found := findings(err); found != nil {
			return found, nil
		}
		return nil, err
	}
	if rule := decisionRef(decision); len(c.GetRules(rule)) == 0 {
		return []policy.Finding{{Code: ast.CompileErr, Message: fmt.Sprintf("there is no rule %s to decide", rule)}}, nil
	}
	return []policy.Finding{}, nil
}
