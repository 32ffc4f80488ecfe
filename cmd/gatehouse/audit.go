package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Read decision records"}
	cmd.AddCommand(tailCommand(), reportCommand(), verifyCommand())
	return cmd
}

// openAudit opens the log of decision records.
func openAudit(cfg *config.Audit, stdout io.Writer, log *slog.Logger) (*audit.Log, error) {
	c := audit.Config{
		Path: cfg.Path, Stdout: stdout, Input: cfg.Input == config.AuditInputMasked,
		MaxBytes: cfg.Rotate.MaxBytes, Keep: cfg.Rotate.Keep, Log: log,
	}
	if cfg.ChainKeyFile != "" {
		var err error
		if c.Key, err = audit.ReadKey(cfg.ChainKeyFile); err != nil {
			return nil, err
		}
	}
	return audit.Open(c)
}

// A choice is what the flags of a command choose.
type choice struct {
	audit.Filter
	since, until string
}

// filterFlags adds the flags that choose records.
func filterFlags(cmd *cobra.Command) *choice {
	var f choice
	flags := cmd.Flags()
	flags.StringSliceVar(&f.Users, "user", nil, "records of these `ids`")
	flags.StringSliceVar(&f.Targets, "tool", nil, "about these tools, resources or prompts")
	flags.StringSliceVar(&f.Servers, "server", nil, "about these `servers`")
	flags.StringSliceVar(&f.Outcomes, "outcome", nil, "with these `outcomes`: allow, deny, patch, would_deny, would_patch, reject, error")
	flags.StringSliceVar(&f.Reasons, "reason", nil, "with these `reasons`")
	flags.StringVar(&f.since, "since", "", "from this `time` on: RFC 3339, or how long ago, as in 36h")
	flags.StringVar(&f.until, "until", "", "before this `time`")
	return &f
}

// parse reads the flags that are more than a text.
func (f *choice) parse() (err error) {
	if f.Since, err = moment("since", f.since); err == nil {
		f.Until, err = moment("until", f.until)
	}
	return err
}

func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("--%s: %q is neither a time such as 2026-01-02T03:04:05Z nor a duration such as 36h", flag, text)
	}
	return at, nil
}

// eachFile calls read for each file, decompressed if need be.
func eachFile(names []string, stdin io.Reader, read func(name string, r io.Reader) error) error {
	for _, name := range names {
		f, err := audit.OpenFile(name, stdin)
		if err != nil {
			return err
		}
		if err = errors.Join(read(name, f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
