package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
)

func tailCommand() *cobra.Command {
	var format string
	var lines int
	var follow bool
	cmd := &cobra.Command{
		Use:   "tail FILE",
		Short: "Show the newest decision records",
		Args:  cobra.ExactArgs(1),
	}
	chosen := filterFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "pretty", "pretty or json")
	flags.IntVarP(&lines, "lines", "n", 10, "how many `records`")
	flags.BoolVarP(&follow, "follow", "f", false, "go on with what is written, also after a rotation")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if err := chosen.parse(); err != nil {
			return err
		}
		p := tailPrinter{out: cmd.OutOrStdout(), pretty: format == "pretty", filter: &chosen.Filter}
		if !p.pretty && format != "json" {
			return fmt.Errorf("--format: %q is not one of pretty, json", format)
		}
		t, err := audit.OpenTail(names[0])
		if err != nil {
			return err
		}
		defer func() { _ = t.Close() }()
		last, err := t.Last(max(0, lines), func(line []byte) bool { _, ok := p.choose(line); return ok })
		if err != nil {
			return err
		}
		for _, line := range last {
			if err := p.print(line); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		return t.Follow(cmd.Context(), p.print)
	}
	return cmd
}

// A tailPrinter prints the records that a filter chooses.
type tailPrinter struct {
	out    io.Writer
	pretty bool
	filter *audit.Filter
	parser audit.Parser
}

// choose reads a line. One that is no record is chosen, since it should not be there.
func (p *tailPrinter) choose(line []byte) (e audit.Entry, ok bool) {
	e, err := p.parser.Parse(line)
	return e, err != nil || p.filter.Match(&e)
}

func (p *tailPrinter) print(line []byte) error {
	e, ok := p.choose(line)
	switch {
	case !ok:
		return nil
	case e.Time.IsZero():
		_, err := fmt.Fprintf(p.out, "not a decision record: %s\n", audit.Escape(string(line)))
		return err
	case !p.pretty:
		_, err := fmt.Fprintf(p.out, "%s\n", audit.EscapeJSON(line))
		return err
	}
	outcome, reason := string(e.Outcome), cmp.Or(e.Reason, e.Message)
	if c := e.Candidate; c != nil {
		outcome, reason = "candidate: "+c.Change, c.Reason
	}
	target := e.Target()
	if target != e.Kind {
		target = e.Kind + " " + target
	}
	_, err := fmt.Fprintf(p.out, "%s  %-11s  %-8s  %s  %s  %s  %s  %s\n", e.Time.UTC().Format("2006-01-02 15:04:05.000"),
		field(outcome), field(e.Phase), field(e.Server), field(target), field(e.User), field(reason), field(e.DecisionID))
	return err
}

// field is a text as a column shows it.
func field(s string) string { return cmp.Or(audit.Escape(s), "-") }
