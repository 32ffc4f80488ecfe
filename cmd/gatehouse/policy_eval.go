package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// evalTime is how long a decision may take that somebody waits for.
const evalTime = 10 * time.Second

// An evaluation is what policy eval is asked to do.
type evaluation struct {
	bundle, decision string
	input, explain   string
	question         question
	as               format
}

func policyEvalCommand() *cobra.Command {
	e := &evaluation{}
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Ask a policy for one decision",
		Long: `Ask a policy for one decision: about an input document, or about the message that
the flags describe.

Exit codes: 0 allow, 1 deny, 2 a policy error, or the policy could not be asked.`,
		Example: `  gatehouse policy eval --bundle policies --user alice --role dev --tool weather.get --args '{"city":"Oslo"}'
  gatehouse policy eval --bundle bundle.tar.gz --input input.json --explain`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&e.bundle, "bundle", "b", ".", "policy: a `bundle` (.tar.gz), a folder or a URL")
	f.StringVar(&e.decision, "decision", "mcp/decision", "`rule` that decides")
	f.StringVarP(&e.input, "input", "i", "", "JSON `file` with the input document; - is standard input")
	f.StringVar(&e.explain, "explain", "", "tell which rules were true and where the others stopped; full: each step")
	f.Lookup("explain").NoOptDefVal = "rules"
	e.question.flags(f)
	e.as.flag(cmd)
	for _, described := range e.question.names(f) {
		cmd.MarkFlagsMutuallyExclusive("input", described)
	}
	return cmd
}

func (e *evaluation) run(ctx context.Context, stdin io.Reader, out io.Writer) error {
	if e.explain != "" && e.explain != "rules" && e.explain != "full" {
		return fmt.Errorf("--explain %q: it is rules or full", e.explain)
	}
	engine := policy.New(policy.Config{
		Bundle: e.bundle, Decision: e.decision, Timeout: evalTime, Log: slog.New(slog.DiscardHandler),
	})
	defer engine.Close()
	if err := engine.Reload(ctx); err != nil {
		return err
	}
	s := engine.Pin()
	document, d, err := e.ask(s, stdin)
	if err != nil {
		return err
	}
	v := &verdict{snapshot: s, document: document, Decision: d}
	v.consequences()
	if e.explain != "" {
		v.steps = &steps{full: e.explain == "full"}
		if again := s.Explain(document, v.steps); errors.Is(again.Err, policy.ErrTimeout) {
			return again.Err // and the steps may still grow
		}
	}
	if e.as.json() {
		err = v.json(out)
	} else {
		err = v.print(out)
	}
	switch {
	case err != nil:
		return err
	case d.Err != nil || v.after != nil && v.after.err != nil:
		return exitCode{code: exitNever}
	case !v.allowed():
		return no()
	}
	return nil
}

// ask gets the decision, and the document that it is about.
func (e *evaluation) ask(s *policy.Snapshot, stdin io.Reader) (document mcp.Value, d policy.Decision, err error) {
	if e.input != "" {
		if document, err = readValue(e.input, stdin); err != nil {
			return document, d, fmt.Errorf("--input: %w", err)
		}
		return document, s.DecideDocument(document), nil
	}
	in, err := e.question.input()
	if err != nil {
		return document, d, err
	}
	d = s.Decide(in)
	document, err = s.Document(in)
	return document, d, err
}
