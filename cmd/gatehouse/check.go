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
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and the bundle, and start nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path, flags)
			if err != nil {
				return err
			}
			return check(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	configFlags(cmd, &path, &flags)
	return cmd
}

func check(ctx context.Context, cfg *config.Config, out io.Writer) error {
	if _, err := openParts(cfg, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
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
	for _, w := range s.Warnings() {
		fmt.Fprintln(out, "warning:", w)
	}
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
