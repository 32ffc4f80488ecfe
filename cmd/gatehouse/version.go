package main

import (
	"fmt"
	"strings"

	opa "github.com/open-policy-agent/opa/v1/version"
	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of gatehouse, of OPA and of the protocol",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "gatehouse %s\nopa %s\nmcp %s\n",
				version, opa.Version, strings.Join(mcp.Versions, " "))
			return err
		},
	}
}
