package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

func newEvalCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Measure executors of actions, and report",
		Long: `eval measures this executor with each engine, the OpenWhisk that it is alone, native
programs behind proxies, Node, and whatever listens at a URL, side by side and by
HTTP, and writes a report. It builds the examples with the Go toolchain of this
machine: run it in a checkout of wasmwhisk. An interrupt keeps what was measured.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			return errUsage(errors.New("eval needs to know what to measure: all, or one experiment; or what to do of an evaluation: report, compare"))
		},
	}
	cmd.AddCommand(newEvalRunCommands(env)...)
	cmd.AddCommand(newEvalReportCommand(env), newEvalCompareCommand(env))
	return cmd
}
