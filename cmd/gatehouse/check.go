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
