package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes of the policy commands.
const (
	exitNo    = 1 // the answer is no
	exitNever = 2 // there is no answer
)

// refused is the answer no, for a reason.
func refused(err error) error { return exitCode{err, exitNo} }

// no is the answer no, when all has been said.
func no() error { return exitCode{code: exitNo} }

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write, test, check, try, build and sign policies",
		Long: `Write, test, check, try, build and sign policies.

A PATH is a folder with .rego files, data.json and .manifest, a bundle
(.tar.gz), or a .rego file. Hidden folders are left out.

Exit codes, for all commands: 0 is yes, done or allow; 1 is no, found or deny;
2 is that the command could not do its work.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		policyTestCommand(), policyCheckCommand(), policyFmtCommand(), policyEvalCommand(),
		policyBuildCommand(), policySignCommand(), policyInspectCommand(), policyInitCommand(),
		policyReplayCommand(), rollbackCommand(),
	)
	return cmd
}

// coded gives an error of a policy command that has no exit code the one that
// says that there is no answer.
func coded(cmd *cobra.Command, err error) error {
	if _, ok := errors.AsType[exitCode](err); ok || err == nil {
		return err
	}
	for ; cmd != nil; cmd = cmd.Parent() {
		if cmd.Name() == "policy" {
			return exitCode{err, exitNever}
		}
	}
	return err
}

// A format is how a command prints what it found.
type format string

func (f *format) flag(cmd *cobra.Command) {
	*f = "pretty"
	cmd.Flags().Var(f, "format", "pretty or json")
}

// String is part of pflag.Value.
func (f *format) String() string { return string(*f) }

// Type is part of pflag.Value.
func (*format) Type() string { return "format" }

// Set is part of pflag.Value.
func (f *format) Set(s string) error {
	if !slices.Contains([]string{"pretty", "json"}, s) {
		return errors.New("it is pretty or json")
	}
	*f = format(s)
	return nil
}

func (f *format) json() bool { return *f == "json" }

// replaceFile writes a file in one step, because a gateway may be reading it.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Chmod(mode.Perm()), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(temp.Name()))
	}
	return err
}

// orHere are the paths, or the working directory if there are none.
func orHere(paths []string) []string {
	if len(paths) == 0 {
		return []string{"."}
	}
	return paths
}

func plural(n int, what string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// oneLine is the first line of a text, cut off where it is long.
func oneLine(text string) string {
	line, rest, _ := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > 100 {
		return string(r[:100]) + "…"
	} else if rest != "" {
		return line + " …"
	}
	return line
}
