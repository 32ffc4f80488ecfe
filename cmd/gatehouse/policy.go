package main

import "github.com/spf13/cobra"

// policyCommand is the parent of what is done with policies outside the gateway.
func policyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Work with policies: see what a change would change"}
	cmd.AddCommand(replayCommand())
	return cmd
}
