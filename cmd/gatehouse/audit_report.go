package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
)

func reportCommand() *cobra.Command {
	var format string
	var candidate bool
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "Sum up what permissive mode would have denied, by rule, tool and user",
		Long: "Sum up what permissive mode would have denied or patched, and errors: by rule, tool and user.\n" +
			"--outcome chooses other outcomes. Files may be compressed with gzip; - is standard input.",
		Args: cobra.MinimumNArgs(1),
	}
	chosen := filterFlags(cmd)
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	cmd.Flags().BoolVar(&candidate, "candidate", false, "sum up the differences of a candidate bundle instead")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if err := chosen.parse(); err != nil {
			return err
		}
		if format != "table" && format != "json" {
			return fmt.Errorf("--format: %q is not one of table, json", format)
		}
		r, err := report(cmd, names, chosen, candidate)
		if err != nil {
			return err
		}
		if format == "json" {
			return printJSON(cmd.OutOrStdout(), r)
		}
		return printReport(cmd.OutOrStdout(), r)
	}
	return cmd
}

func report(cmd *cobra.Command, names []string, chosen *choice, candidate bool) (*audit.Report, error) {
	about := audit.Unenforced
	if len(chosen.Outcomes) > 0 {
		about = nil
		for _, o := range chosen.Outcomes {
			about = append(about, audit.Outcome(o))
		}
	}
	all := chosen.Filter
	all.Outcomes = nil // the report counts all, and is about some
	r := audit.NewReport(about)
	err := eachFile(names, cmd.InOrStdin(), func(name string, f io.Reader) error {
		for e, err := range audit.Entries(name, f) {
			var bad *audit.BadLine
			switch {
			case errors.As(err, &bad):
				if r.Bad++; r.Bad <= maxFindings {
					fmt.Fprintln(cmd.ErrOrStderr(), audit.Escape(bad.Error()))
				}
			case err != nil:
				return err
			case (e.Candidate != nil) == candidate && all.Match(&e):
				r.Add(&e)
			}
		}
		return nil
	})
	r.Sort()
	return r, err
}

// printJSON prints a value so that nothing in it can turn or move the text of a terminal.
func printJSON(out io.Writer, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := out.Write(audit.EscapeJSON(text.Bytes()))
	return err
}

func printReport(out io.Writer, r *audit.Report) error {
	fmt.Fprintf(out, "%d records", r.Records)
	if r.Records > 0 {
		fmt.Fprintf(out, " from %s to %s", shortTime(r.First), shortTime(r.Last))
	}
	for i, o := range slices.Sorted(maps.Keys(r.Outcomes)) {
		fmt.Fprintf(out, "%s%s %d", []string{": ", ", "}[min(i, 1)], audit.Escape(string(o)), r.Outcomes[o])
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printTable(w, "BY RULE", &r.Rules, func(g *audit.Group) string { return strings.TrimLeft(g.Code+": "+g.Reason, ": ") })
	printTable(w, "BY TARGET", &r.Targets, func(g *audit.Group) string {
		if g.Kind == g.Target {
			return g.Server + " " + g.Kind
		}
		return g.Server + " " + g.Kind + " " + g.Target
	})
	printTable(w, "BY USER", &r.Users, func(g *audit.Group) string { return g.User })
	if r.Bad > 0 {
		fmt.Fprintf(w, "\n%d lines are no records\n", r.Bad)
	}
	return w.Flush()
}

func printTable(w io.Writer, title string, t *audit.Table, name func(*audit.Group) string) {
	if len(t.Groups) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\tOUTCOME\tCOUNT\tFIRST SEEN\tLAST SEEN\tEXAMPLES\n", title)
	for _, g := range t.Groups {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", field(name(g)), audit.Escape(string(g.Outcome)), g.Count,
			shortTime(g.First), shortTime(g.Last), audit.Escape(strings.Join(g.Examples, " ")))
	}
	if t.Cut > 0 {
		fmt.Fprintf(w, "cut: %d records more are of further groups\n", t.Cut)
	}
}

func shortTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
