package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	regofmt "github.com/open-policy-agent/opa/v1/format"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

// A formatter formats files in OPA's one way.
type formatter struct {
	write, list, diff, fail bool
	root                    string // of the walk
	out                     io.Writer
	changed                 int
}

func policyFmtCommand() *cobra.Command {
	f := &formatter{}
	cmd := &cobra.Command{
		Use:   "fmt [-w] [-l] [-d] [--fail] PATH…",
		Short: "Format Rego files",
		Long: `Format Rego files, in OPA's one way. Without a flag the formatted text is
printed.

Exit codes: 0 done, 1 a file is formatted otherwise and --fail is set, 2 a file
cannot be read, parsed or written.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			f.out = cmd.OutOrStdout()
			for _, path := range paths {
				f.root = path
				if err := filepath.WalkDir(path, f.visit); err != nil {
					return err
				}
			}
			if f.fail && f.changed > 0 {
				return refused(fmt.Errorf("%s not formatted", plural(f.changed, "file")))
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&f.write, "write", "w", false, "write the files")
	cmd.Flags().BoolVarP(&f.list, "list", "l", false, "name the files that are formatted otherwise")
	cmd.Flags().BoolVarP(&f.diff, "diff", "d", false, "show what changes")
	cmd.Flags().BoolVar(&f.fail, "fail", false, "exit with 1 if a file is formatted otherwise")
	return cmd
}

func (f *formatter) visit(path string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != f.root:
		return fs.SkipDir
	case d.IsDir(), filepath.Ext(path) != ".rego":
		return nil
	}
	old, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return err
	}
	formatted, err := regofmt.SourceWithOpts(path, old, regofmt.Opts{RegoVersion: ast.RegoV1})
	if err != nil {
		return err
	}
	return f.tell(path, old, formatted)
}

// tell does what the flags ask for with a file.
func (f *formatter) tell(path string, old, formatted []byte) error {
	changed := !bytes.Equal(old, formatted)
	if changed {
		f.changed++
	}
	if !f.write && !f.list && !f.diff && !f.fail {
		_, err := f.out.Write(formatted)
		return err
	}
	if !changed {
		return nil
	}
	if f.list {
		fmt.Fprintln(f.out, path)
	}
	if f.diff {
		fmt.Fprintf(f.out, "%s", diff.Diff(path, old, path+" (formatted)", formatted))
	}
	if f.write {
		return os.WriteFile(filepath.Clean(path), formatted, 0o600) // which keeps its mode
	}
	return nil
}
