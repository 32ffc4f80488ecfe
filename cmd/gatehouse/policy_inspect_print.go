package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

func (i *inspection) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(table, "revision\t%s\n", i.Revision)
	if i.SHA256 != "" {
		fmt.Fprintf(table, "sha256\t%s\n", i.SHA256)
	}
	fmt.Fprintf(table, "roots\t%q\n", i.Roots)
	for _, key := range slices.Sorted(maps.Keys(i.Metadata)) {
		fmt.Fprintf(table, "metadata\t%s: %v\n", key, i.Metadata[key])
	}
	fmt.Fprintf(table, "signature\t%s\f", i.Signature)
	fmt.Fprint(table, "files\f")
	for _, f := range i.Files {
		fmt.Fprintf(table, "  %s\t%s\n", f.Name, plural(f.Size, "byte"))
	}
	fmt.Fprint(table, "\frules\f")
	for _, r := range i.Rules {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", r.Rule, r.At, r.about())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "reads\n  %s\n", strings.Join(i.Reads, "\n  "))
	fmt.Fprintf(out, "built-ins\n  %s\n", strings.Join(i.Builtins, " "))
	for _, w := range i.Warnings {
		fmt.Fprintln(out, "warning:", w)
	}
	return nil
}

func (r *ruleView) about() string {
	if r.Entrypoint {
		return strings.TrimSpace("entrypoint " + r.Title)
	}
	return r.Title
}
