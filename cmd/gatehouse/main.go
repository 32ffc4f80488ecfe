// Command gatehouse is a policy gateway for the Model Context Protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // policies have time zones, and not every system has them

	"github.com/spf13/cobra"
	_ "golang.org/x/crypto/x509roots/fallback" // Mozilla's authorities, for systems without any
)

// version is set by the linker.
var version = "devel"

func main() {
	err := run(untilSignal(), os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, "gatehouse:", text)
		}
		if code, ok := errors.AsType[exitCode](err); ok {
			os.Exit(code.code)
		}
		os.Exit(1)
	}
}

// untilSignal is a context that ends at the first signal to end. The second one
// ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		code := 1
		if s, ok := (<-signals).(syscall.Signal); ok {
			code = 128 + int(s) // as shells have it
		}
		os.Exit(code)
	}()
	return ctx
}

// An exitCode is an error that ends the process with a code of its own, and
// without a word if there is no error in it.
type exitCode struct {
	error
	code int
}

func (e exitCode) Unwrap() error { return e.error }

func (e exitCode) Error() string {
	if e.error == nil {
		return ""
	}
	return e.error.Error()
}

// run runs one command line to its end.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:           "gatehouse",
		Short:         "A policy gateway for the Model Context Protocol",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serveCommand(), checkCommand(), demoCommand(), wrapCommand(), policyCommand(), auditCommand(), versionCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return coded(root.ExecuteContextC(ctx))
}
