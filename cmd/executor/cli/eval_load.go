package cli

import (
	"github.com/spf13/cobra"

	generator "wasmwhisk/eval/load"
)

// evalLoad names the command that is the load generator of an evaluation.
const evalLoad = "eval-load"

func newEvalLoadCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:    evalLoad,
		Short:  "Make the requests of the plans on stdin, for an evaluation",
		Args:   noArguments,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return generator.Main(cmd.Context(), env.Stdin, env.Stdout)
		},
	}
}
