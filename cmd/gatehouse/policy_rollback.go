package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func rollbackCommand() *cobra.Command {
	var dir, to string
	var list, drop bool
	cmd := &cobra.Command{
		Use:   "rollback --persist DIR",
		Short: "Make a running gateway go back to a bundle that it has persisted",
		Long: `Make a running gateway go back to a bundle that it has persisted: the one before
the newest, or with --to another. It obeys at SIGHUP or its next poll, without
its bundle server and whatever policy.monotonic says, and stays there until
--clear or until its source has a revision newer than all that were in force.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			shelf := policy.OpenShelf(dir)
			switch {
			case list:
				return listKept(cmd.OutOrStdout(), shelf)
			case drop:
				return clearRollback(cmd.OutOrStdout(), shelf)
			}
			return askRollback(cmd.OutOrStdout(), shelf, to)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "persist", "", "the gateway's policy.persist `directory`")
	f.StringVar(&to, "to", "", "go to this `revision`, or sha256:digest")
	f.BoolVar(&list, "list", false, "list the persisted bundles, the newest first")
	f.BoolVar(&drop, "clear", false, "withdraw the rollback")
	_ = cmd.MarkFlagRequired("persist") // it is defined above
	cmd.MarkFlagsMutuallyExclusive("to", "list", "clear")
	return cmd
}

const whenObeyed = "the gateway obeys at SIGHUP or its next poll"

func askRollback(out io.Writer, shelf policy.Shelf, to string) error {
	k, err := shelf.RollBack(to)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "roll back to %s (sha256 %s): %s\n", k.Revision, k.SHA256, whenObeyed)
	return err
}

func clearRollback(out io.Writer, shelf policy.Shelf) error {
	if err := shelf.Clear(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "no rollback: "+whenObeyed)
	return err
}

func listKept(out io.Writer, shelf policy.Shelf) error {
	all, err := shelf.List()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tSHA256\tPERSISTED\t")
	for _, k := range all {
		mark := ""
		switch {
		case k.Err != nil:
			mark = "unusable: " + k.Err.Error()
		case k.Wanted:
			mark = "rollback"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Revision, k.SHA256, k.Time.UTC().Format(time.RFC3339), mark)
	}
	return w.Flush()
}
