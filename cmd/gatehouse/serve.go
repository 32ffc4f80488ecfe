package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

func serveCommand() *cobra.Command {
	var path string
	var flags config.Flags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path, flags)
			if err != nil {
				return err
			}
			signal.Ignore(syscall.SIGPIPE) // a closed pipe for records is an error of writing, not the end
			a, err := newApp(cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), hangups())
		},
	}
	configFlags(cmd, &path, &flags)
	return cmd
}

// configFlags adds the flags that make up a configuration.
func configFlags(cmd *cobra.Command, path *string, flags *config.Flags) {
	f := cmd.Flags()
	f.StringVar(path, "config", "", "`file` with the configuration: the gateway's own, or an MCP client's")
	f.StringVar(&flags.Listen, "listen", "", "`address` of the MCP listener")
	f.StringVar(&flags.Admin, "admin", "", "`address` of /healthz, /readyz, /metrics and /v1/candidate")
	f.StringVar(&flags.PolicyBundle, "policy-bundle", "", "policy bundle: a .tar.gz `file`, a directory, a URL or an oci:// reference")
	f.StringVar(&flags.PolicyMode, "policy-mode", "", "off, permissive or enforce")
	f.StringVar(&flags.Upstream, "upstream", "", "`URL` of the only MCP server")
}

// loadConfig loads the configuration of a gateway, which has a server.
func loadConfig(path string, flags config.Flags) (*config.Config, error) {
	cfg, err := config.Load(path, os.LookupEnv, flags)
	if err != nil {
		return nil, err
	}
	if len(cfg.Servers) == 0 {
		return nil, errors.New("no MCP server: set mcpServers in the file of --config, or --upstream URL")
	}
	return cfg, nil
}

// hangups tells of each SIGHUP. Nobody need read it: a SIGHUP never ends the
// process, also not one that comes while it drains.
func hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}
