package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/internal/replay"
)

// replayTimeout bounds one decision. It is longer than a gateway's, so that a
// busy machine does not make a denial of what was none.
const replayTimeout = 10 * time.Second

type replayFlags struct {
	bundle, against, decision, format, failOn, seed string
	selected                                        []string
	progress                                        bool
}

func policyReplayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay --bundle NEW [--against OLD] DECISIONS.jsonl...",
		Short: "Judge recorded decisions by another bundle, and show what would change",
		Long: "Judges the requests of decision records again and shows what would change: against what was recorded, or,\n" +
			"with --against, against what another bundle says. A file may be gzipped; - is standard input. A record that\n" +
			"does not hold what the policy reads is counted as not replayable.\n\n" +
			"The exit code is 1 if there is a change that --fail-on names, and 2 if the replay failed.",
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.bundle, "bundle", "", "the new `bundle`: a .tar.gz file, a directory or a URL")
	flags.StringVar(&f.against, "against", "", "compare with this `bundle`, not with what was recorded")
	flags.StringVar(&f.decision, "decision", "mcp/decision", "the `rule` that decides")
	flags.StringVar(&f.format, "format", replay.Table, "table, json or junit")
	flags.StringVar(&f.failOn, "fail-on", "", "exit with 1 if anything is newly-denied, newly-allowed, or changes in any way (any)")
	flags.BoolVar(&f.progress, "progress", false, "show progress even where standard error is no terminal")
	flags.StringVar(&f.seed, "seed-tests", "", "write a Rego test `file` (_test.rego) from records, which the new bundle passes")
	flags.StringSliceVar(&f.selected, "select", []string{"any"}, "records for --seed-tests: newly-denied, newly-allowed, patched-otherwise, any change, or decision ids")
	return cmd
}

// fails are the changes that --fail-on names.
func (f *replayFlags) fails() ([]string, error) {
	switch f.failOn {
	case "":
		return nil, nil
	case "any":
		return replay.Changes, nil
	case "newly-denied", "newly-allowed":
		return []string{strings.ReplaceAll(f.failOn, "-", "_")}, nil
	}
	return nil, fmt.Errorf("--fail-on: %q is not one of newly-denied, newly-allowed, any", f.failOn)
}

func (f *replayFlags) run(cmd *cobra.Command, paths []string) error {
	fails, err := f.fails()
	switch {
	case err != nil:
		return err
	case f.bundle == "":
		return errors.New("--bundle is not set")
	case len(paths) == 0:
		return errors.New("no decision records: name their files, or - for standard input")
	case !slices.Contains([]string{replay.Table, replay.JSON, replay.JUnit}, f.format):
		return fmt.Errorf("--format: %q is not one of table, json, junit", f.format)
	case f.seed != "" && !strings.HasSuffix(f.seed, "_test.rego"):
		return fmt.Errorf("--seed-tests: %q does not end in _test.rego", f.seed)
	}
	r := replay.Replay{Done: &atomic.Int64{}}
	if f.seed != "" {
		r.Chosen = f.chosen
	}
	for _, b := range []struct {
		place string
		into  **policy.Snapshot
	}{{f.bundle, &r.New}, {f.against, &r.Against}} {
		if b.place == "" {
			continue
		}
		engine := policy.New(policy.Config{
			Bundle: b.place, Decision: f.decision, Timeout: replayTimeout, Log: slog.New(slog.DiscardHandler),
		})
		defer engine.Close()
		if err := engine.Reload(cmd.Context()); err != nil {
			return fmt.Errorf("%s: %w", b.place, err)
		}
		*b.into = engine.Pin()
	}
	inputs, closeAll, err := openAll(paths, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer closeAll()
	stop := f.showProgress(cmd.Context(), cmd.ErrOrStderr(), r.Done)
	report, cases, err := r.Run(cmd.Context(), inputs...)
	stop()
	if err != nil {
		return err
	}
	return f.finish(cmd.OutOrStdout(), &r, report, cases, fails)
}

// finish writes what was found.
func (f *replayFlags) finish(out io.Writer, r *replay.Replay, report *replay.Report, cases []replay.Case, fails []string) error {
	if f.seed != "" {
		if err := f.writeTests(r.New, cases); err != nil {
			return err
		}
	}
	if err := report.Write(out, f.format, fails); err != nil {
		return err
	}
	if report.Fails(fails) {
		return refused(fmt.Errorf("there are changes of the kind %s", f.failOn))
	}
	return nil
}

// chosen says whether a record is to become a test.
func (f *replayFlags) chosen(change, id string) bool {
	return slices.ContainsFunc(f.selected, func(s string) bool {
		return s == id || change != "" && (s == "any" || strings.ReplaceAll(s, "-", "_") == change)
	})
}

func (f *replayFlags) writeTests(s *policy.Snapshot, cases []replay.Case) error {
	if len(cases) == 0 {
		return errors.New("--seed-tests: no record is selected")
	}
	file, err := os.OpenFile(f.seed, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--seed-tests: %w", err)
	}
	return errors.Join(replay.WriteTests(file, f.decision, s, cases), file.Close())
}

// openAll opens all files before the first is read.
func openAll(names []string, stdin io.Reader) (inputs []replay.Input, closeAll func(), err error) {
	var files []io.Closer
	closeAll = func() {
		for _, f := range files {
			_ = f.Close() // it was only read
		}
	}
	for _, name := range names {
		f, err := audit.OpenFile(name, stdin)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("open records: %w", err)
		}
		files, inputs = append(files, f), append(inputs, replay.Input{Name: name, Reader: f})
	}
	return inputs, closeAll, nil
}

// showProgress tells of the lines that are done, until it is stopped.
func (f *replayFlags) showProgress(ctx context.Context, w io.Writer, done *atomic.Int64) (stop func()) {
	file, _ := w.(*os.File)
	terminal := false
	if file != nil {
		info, err := file.Stat()
		terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if !terminal && !f.progress {
		return func() {}
	}
	start, ended := time.Now(), make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	say := func(end string) {
		n := done.Load()
		fmt.Fprintf(w, "%d records, %.0f a second%s", n, float64(n)/time.Since(start).Seconds(), end)
	}
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				say(map[bool]string{true: "\r", false: "\n"}[terminal])
			case <-ctx.Done():
				say("\n")
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
