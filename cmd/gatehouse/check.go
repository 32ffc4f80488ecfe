package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
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
	if cfg.Policy.Bundle == "" {
		_, err := fmt.Fprintf(out, "ok: %d servers, mode %s, no bundle\n", len(cfg.Servers), cfg.Policy.Mode)
		return err
	}
	engine := policy.New(policyConfig(cfg, slog.New(slog.DiscardHandler)))
	defer engine.Close()
	if err := engine.Reload(ctx); err != nil {
		return err
	}
	s := engine.Pin()
	_, err := fmt.Fprintf(out, "ok: %d servers, mode %s, bundle %s (sha256 %s)\n",
		len(cfg.Servers), cfg.Policy.Mode, s.Revision, s.SHA256)
	return err
}

// policyConfig is the policy's part of the configuration.
func policyConfig(cfg *config.Config, log *slog.Logger) policy.Config {
	p := cfg.Policy
	return policy.Config{
		Bundle: p.Bundle, SHA256: p.SHA256, Poll: p.Poll, Decision: p.Decision, Timeout: p.Timeout, Log: log,
	}
}
