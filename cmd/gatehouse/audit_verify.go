package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
)

// The statuses of verify, beside 0.
const (
	exitBroken     = 1
	exitUnreadable = 2
)

// maxFindings is how many findings are printed; more are only counted.
const maxFindings = 100

func verifyCommand() *cobra.Command {
	var keyFile, expect string
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check the hash chain of decision records",
		Long: "Check the hash chain of decision records, over files in any order; - is standard input.\n" +
			"The exit status is 0 if all is as it was written, 1 if not, 2 if that cannot be told.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			var key []byte
			if keyFile != "" {
				var err error
				if key, err = audit.ReadKey(keyFile); err != nil {
					return exitCode{err, exitUnreadable}
				}
			}
			return verify(cmd, names, key, expect)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key-file", "", "`file` with the chain's key, as audit.chainKeyFile")
	cmd.Flags().StringVar(&expect, "expect-last", "", "a `hash` that one record must have, or the number that the last must at least have")
	return cmd
}

func verify(cmd *cobra.Command, names []string, key []byte, expect string) error {
	out, found := cmd.OutOrStdout(), 0
	seq, err := strconv.ParseUint(expect, 10, 64)
	counted := err == nil
	hash := expect
	if counted {
		hash = ""
	}
	v := audit.NewVerifier(key, hash, func(f audit.Finding) {
		if found++; found > maxFindings {
			return
		}
		if f.Note {
			f.Text = "note: " + f.Text
		}
		fmt.Fprintln(out, audit.Escape(f.String()))
	})
	start := time.Now()
	if err := eachFile(names, cmd.InOrStdin(), v.File); err != nil {
		if errors.Is(err, audit.ErrKey) {
			err = fmt.Errorf("%w: --key-file", err)
		}
		return exitCode{err, exitUnreadable}
	}
	chains := v.Finish()
	if counted && (len(chains) != 1 || chains[0].Last < seq) {
		v.Broken++
		fmt.Fprintf(out, "--expect-last: the files do not hold one chain with a record %d\n", seq)
	}
	if found > maxFindings {
		fmt.Fprintf(out, "and %d findings more\n", found-maxFindings)
	}
	for _, c := range chains {
		fmt.Fprintf(out, "chain %s: records %d to %d, hash %s\n", c.Chain, c.First, c.Last, c.Hash)
	}
	return conclude(out, v, time.Since(start))
}

func conclude(out io.Writer, v *audit.Verifier, took time.Duration) error {
	rate := fmt.Sprintf("%d records, %.0f a second", v.Records, float64(v.Records)/took.Seconds())
	if v.Broken > 0 {
		fmt.Fprintf(out, "broken: %s\n", rate)
		return exitCode{fmt.Errorf("the records are not what was written: %d findings", v.Broken), exitBroken}
	}
	if v.Records == 0 {
		return exitCode{errors.New("there are no records"), exitUnreadable}
	}
	fmt.Fprintf(out, "ok: %s\n", rate)
	return nil
}
