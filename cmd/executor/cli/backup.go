package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"wasmwhisk/whisk/store"
)

// backupFlags are the flags of backup.
type backupFlags struct {
	stateDir string
	json     bool
}

func newBackupCommand(env *Env) *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the store of the OpenWhisk API, while it is served",
		Long: `backup writes a copy of the store to FILE, which must not exist: entities with
their code, activation records and users, as they are at one moment. A server may
go on serving. To go back to it, stop the server, empty the directory "store" below
its state directory, and put FILE there as whisk.db.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errUsage(errors.New("backup needs one FILE"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return backup(cmd.Context(), env, f, args[0]) },
	}
	cmd.Flags().StringVar(&f.stateDir, "state-dir", defaultStateDir(env), "the server's state directory is `DIR`")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func backup(ctx context.Context, env *Env, f backupFlags, file string) error {
	err := withStore(ctx, f.stateDir, func(s store.Administration) error { return s.Backup(ctx, file) })
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(env.Stdout).Encode(map[string]any{"file": file, "bytes": info.Size()})
	}
	fmt.Fprintf(env.Stdout, "%s: %d bytes\n", file, info.Size())
	return nil
}
