package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

func newEvalCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Measure executors, ours and others', and report",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			return errUsage(errors.New("what to do of an evaluation: report, compare"))
		},
	}
	cmd.AddCommand(newEvalReportCommand(env), newEvalCompareCommand(env))
	return cmd
}
