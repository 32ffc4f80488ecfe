package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/internal/trace"
)

func checkCommand() *cobra.Command {
	var path string
	var flags config.Flags
	var who as
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and the bundle, and start nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path, flags)
			if err != nil {
				return err
			}
			if who.given() {
				return checkAs(cmd.Context(), cfg, &who, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return check(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	configFlags(cmd, &path, &flags)
	f := cmd.Flags()
	f.StringVar(&who.token, "as-token", "", "tell what the access token in this `file`, or - for standard input, maps to")
	f.StringVar(&who.key, "as-key", "", "the same for an API key")
	f.StringSliceVar(&who.tools, "tools", nil, "`names` of tools: which of them could it call?")
	cmd.MarkFlagsMutuallyExclusive("as-token", "as-key")
	return cmd
}

func check(ctx context.Context, cfg *config.Config, out io.Writer) error {
	if _, err := openParts(cfg, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if _, err := trace.FromEnv(os.LookupEnv); err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(out, "warning:", w)
	}
	said := "no bundle"
	if cfg.Policy.Bundle != "" {
		loaded, err := tryBundle(ctx, policyConfig(cfg, slog.New(slog.DiscardHandler)), out)
		if err != nil {
			return err
		}
		said = "bundle " + loaded
	}
	if cfg.Policy.Candidate.Bundle != "" {
		loaded, err := tryBundle(ctx, candidateConfig(cfg, slog.New(slog.DiscardHandler)), out)
		if err != nil {
			return fmt.Errorf("candidate: %w", err)
		}
		said += ", candidate " + loaded
	}
	_, err := fmt.Fprintf(out, "ok: %d servers, mode %s, %s\n", len(cfg.Servers), cfg.Policy.Mode, said)
	return err
}

// tryBundle loads a bundle, warns of what is odd in it, and tells which it is.
func tryBundle(ctx context.Context, cfg policy.Config, out io.Writer) (string, error) {
	cfg.ReadOnly = true
	engine := policy.New(cfg)
	defer engine.Close()
	if err := engine.Reload(ctx); err != nil {
		return "", err
	}
	s := engine.Pin()
	for _, w := range s.Warnings() {
		fmt.Fprintln(out, "warning:", w)
	}
	return fmt.Sprintf("%s (sha256 %s)", s.Revision, s.SHA256), nil
}
