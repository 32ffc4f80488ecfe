package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/policies"
)

// workflow is the CI of a folder of policies, with VERSION where the version is.
//
//go:embed policy_init.yml
var workflow embed.FS

const workflowFile = ".github/workflows/policy.yml"

func policyInitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write the starter policies, to go on from",
		Long: `Write the starter policies with their tests, data and README, and a GitHub
workflow that tests, checks and builds them, into a folder. No file is
overwritten.

Exit codes: 0 written, 1 one of the files is there already, 2 a file cannot be
written.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := orHere(args)[0]
			files, err := starter()
			if err != nil {
				return err
			}
			if err := writeNew(dir, files); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s written to %s; try: gatehouse policy test %[2]s\n",
				plural(len(files), "file"), dir)
			return err
		},
	}
}

// starter are the files that policy init writes.
func starter() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(policies.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[name], err = fs.ReadFile(policies.FS(), name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	ci, err := workflow.ReadFile("policy_init.yml")
	release := version
	if !strings.HasPrefix(release, "v") || strings.Contains(release, "-") {
		release = "latest" // of a build that is no release
	}
	files[workflowFile] = []byte(strings.ReplaceAll(string(ci), "VERSION", release))
	return files, err
}

// writeNew writes files that are not there yet.
func writeNew(dir string, files map[string][]byte) error {
	for name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return refused(fmt.Errorf("%s is there already", filepath.Join(dir, name)))
		}
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
