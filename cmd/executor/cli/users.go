package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
	"wasmwhisk/whisk/store/sqlite"
)

// storeDir is where the standalone's store is, below the state directory.
func storeDir(stateDir string) string { return filepath.Join(stateDir, "store") }

// userFlags are the flags of the commands below users.
type userFlags struct {
	stateDir, namespace, key string
	limits                   string
	json                     bool
	open                     opener
}

// opener calls what works on a store with the one of a state directory.
type opener func(ctx context.Context, stateDir string, fn func(store.Administration) error) error

func newUsersCommand(env *Env) *cobra.Command {
	users := &cobra.Command{
		Use:   "users",
		Short: "Make and change users of the OpenWhisk API",
		Long: `users does to the store of the standalone OpenWhisk what wskadmin user does to
OpenWhisk's: a user has a key for each of its namespaces, which wsk and other
clients are configured with. A key is printed once, when it is made; the store
keeps no more of it than can tell it from others. A server that is running knows
of changes within 100 ms.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			return errUsage(errors.New("what to do with users: create, get, list, block, unblock, limit, rotate, delete"))
		},
	}
	users.AddCommand(
		newUserCommand(env, "create USER", "Make a user, or a namespace of one, and print its key", 1, createUser, namespaceFlag, keyFlag, newStore),
		newUserCommand(env, "get USER", "Print a user's namespaces and whether it is blocked", 1, getUser),
		newUserCommand(env, "list", "Print all users", 0, listUsers),
		newUserCommand(env, "block USER", "Accept a user's keys no more", 1, blockUser),
		newUserCommand(env, "unblock USER", "Accept a user's keys again", 1, unblockUser),
		newUserCommand(env, "limit USER", "Give a user limits of its own, in the place of those it has", 1, limitUser, limitsFlag),
		newUserCommand(env, "rotate USER", "Make a new key in the place of the old one, and print it", 1, rotateKey, namespaceFlag, keyFlag),
		newUserCommand(env, "delete USER", "Remove a user, or its key of one namespace; what is in namespaces stays", 1, deleteUser, namespaceFlag),
	)
	return users
}

// userAction does what a command below users is for.
type userAction func(context.Context, *Env, store.Subjects, userFlags, string) error

// newUserCommand makes a command that takes so many arguments, 0 or 1.
func newUserCommand(env *Env, use, short string, arguments int, do userAction, flags ...func(*cobra.Command, *userFlags)) *cobra.Command {
	f := userFlags{open: withStore}
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != arguments {
				return errUsage(fmt.Errorf("usage: %s", cmd.UseLine()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.open(cmd.Context(), f.stateDir, func(s store.Administration) error {
				return do(cmd.Context(), env, s, f, strings.Join(args, ""))
			})
		},
	}
	cmd.Flags().StringVar(&f.stateDir, "state-dir", defaultStateDir(env), "the server's state directory is `DIR`")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	for _, flag := range flags {
		flag(cmd, &f)
	}
	return cmd
}

// newStore has a command make the store if there is none: a server may be given
// its users before it is first started.
func newStore(_ *cobra.Command, f *userFlags) { f.open = withNewStore }

func namespaceFlag(cmd *cobra.Command, f *userFlags) {
	cmd.Flags().StringVar(&f.namespace, "namespace", "", "the namespace `NAME` of the user (default: that of the user's name)")
}

func keyFlag(cmd *cobra.Command, f *userFlags) {
	cmd.Flags().StringVar(&f.key, "key", "", "set this key, `UUID:SECRET`, rather than make one")
}

func limitsFlag(cmd *cobra.Command, f *userFlags) {
	cmd.Flags().StringVar(&f.limits, "limits", "", `the limits as JSON: {"invocationsPerMinute":600,"allowedKinds":["wasm:0.1"]}; {} leaves those of all users`)
}

// withStore opens the store beside a server, if one is running. It makes none.
func withStore(ctx context.Context, stateDir string, fn func(store.Administration) error) error {
	if _, err := os.Stat(storeDir(stateDir)); err != nil {
		return fmt.Errorf("there is no store: %w; serve makes one, and users create", err)
	}
	return withNewStore(ctx, stateDir, fn)
}

// withNewStore is withStore, but that it makes a store where none is.
func withNewStore(ctx context.Context, stateDir string, fn func(store.Administration) error) error {
	s, err := sqlite.OpenBeside(ctx, sqlite.Config{Dir: storeDir(stateDir)})
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

// made is the key that was made, as it is printed.
type made struct {
	Subject   string           `json:"subject"`
	Namespace whisk.EntityName `json:"namespace"`
	Key       string           `json:"key"`
}

func (m made) print(env *Env, f userFlags) error {
	if f.json {
		return json.NewEncoder(env.Stdout).Encode(m)
	}
	fmt.Fprintln(env.Stdout, m.Key)
	return nil
}

func createUser(ctx context.Context, env *Env, s store.Subjects, f userFlags, name string) error {
	if _, err := whisk.ParseEntityName(name); err != nil {
		return errUsage(fmt.Errorf("user %q: %w", name, err))
	}
	ns, key, err := f.target(name)
	if err != nil {
		return err
	}
	existed, err := addUser(ctx, s, name)
	if err != nil {
		return err
	}
	if err := addNamespace(ctx, s, name, ns, key); err != nil {
		if !existed {
			err = errors.Join(err, s.DeleteSubject(ctx, name))
		}
		return err
	}
	return made{Subject: name, Namespace: ns, Key: key.Text()}.print(env, f)
}

// target is the namespace that a command is about, and the key to set.
func (f userFlags) target(user string) (whisk.EntityName, whisk.Key, error) {
	ns, err := whisk.ParseEntityName(cmp.Or(f.namespace, user))
	if err != nil {
		return "", whisk.Key{}, errUsage(fmt.Errorf("namespace %q: %w", f.namespace, err))
	}
	if f.key == "" {
		return ns, whisk.NewKey(), nil
	}
	key, err := whisk.ParseKey(f.key)
	if err != nil || !key.Strong() {
		return "", whisk.Key{}, errUsage(errors.New("--key: want UUID:SECRET, the secret of 64 characters or more"))
	}
	return ns, key, nil
}

func addUser(ctx context.Context, s store.Subjects, name string) (existed bool, err error) {
	err = s.CreateSubject(ctx, &store.Subject{Name: name})
	if errors.Is(err, store.ErrExists) {
		return true, nil
	}
	return false, err
}

// addNamespace gives a user a namespace that nobody has.
func addNamespace(ctx context.Context, s store.Subjects, user string, ns whisk.EntityName, key whisk.Key) error {
	has, err := hasNamespace(ctx, s, user, ns)
	if err != nil {
		return err
	}
	if has {
		return fmt.Errorf("user %s has namespace %s already; users rotate makes a new key for it", user, ns)
	}
	err = s.SetKey(ctx, user, ns, key)
	if errors.Is(err, store.ErrExists) {
		return fmt.Errorf("namespace %s is another user's", ns)
	}
	return err
}

func hasNamespace(ctx context.Context, s store.Subjects, user string, ns whisk.EntityName) (bool, error) {
	subject, err := findUser(ctx, s, user)
	if err != nil {
		return false, err
	}
	for _, n := range subject.Namespaces {
		if n.Name == ns {
			return true, nil
		}
	}
	return false, nil
}

func findUser(ctx context.Context, s store.Subjects, name string) (*store.Subject, error) {
	subject, err := s.Subject(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("there is no user %q", name)
	}
	return subject, err
}

func getUser(ctx context.Context, env *Env, s store.Subjects, f userFlags, name string) error {
	subject, err := findUser(ctx, s, name)
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(env.Stdout).Encode(subject)
	}
	return printUsers(env, subject)
}

func listUsers(ctx context.Context, env *Env, s store.Subjects, f userFlags, _ string) error {
	subjects, err := s.ListSubjects(ctx, store.Page{})
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(env.Stdout).Encode(subjects)
	}
	return printUsers(env, subjects...)
}

// printUsers has a line for each namespace, and one for a user that has none.
func printUsers(env *Env, subjects ...*store.Subject) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tNAMESPACE\tUUID\tSTATE\tLIMITS")
	for _, s := range subjects {
		limits, err := json.Marshal(s.Limits)
		if err != nil {
			return err
		}
		state := "active"
		if s.Blocked {
			state = "blocked"
		}
		if len(s.Namespaces) == 0 {
			fmt.Fprintf(w, "%s\t-\t-\t%s\t%s\n", s.Name, state, limits)
		}
		for _, n := range s.Namespaces {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, n.Name, n.UUID, state, limits)
		}
	}
	return w.Flush()
}

func blockUser(ctx context.Context, _ *Env, s store.Subjects, _ userFlags, name string) error {
	subject, err := findUser(ctx, s, name)
	if err != nil {
		return err
	}
	subject.Blocked = true
	return s.UpdateSubject(ctx, subject)
}

func unblockUser(ctx context.Context, _ *Env, s store.Subjects, _ userFlags, name string) error {
	subject, err := findUser(ctx, s, name)
	if err != nil {
		return err
	}
	subject.Blocked = false
	return s.UpdateSubject(ctx, subject)
}

func limitUser(ctx context.Context, _ *Env, s store.Subjects, f userFlags, name string) error {
	limits, err := parseLimits[whisk.UserLimits](f.limits)
	if err != nil {
		return err
	}
	subject, err := findUser(ctx, s, name)
	if err != nil {
		return err
	}
	subject.Limits = limits
	return s.UpdateSubject(ctx, subject)
}

// rotateKey keeps the UUID, unless a key is given: it names the namespace.
func rotateKey(ctx context.Context, env *Env, s store.Subjects, f userFlags, name string) error {
	ns, key, err := f.target(name)
	if err != nil {
		return err
	}
	subject, err := findUser(ctx, s, name)
	if err != nil {
		return err
	}
	for _, n := range subject.Namespaces {
		if n.Name != ns {
			continue
		}
		if f.key == "" {
			key = whisk.Key{UUID: n.UUID}.Renew()
		}
		if err := s.SetKey(ctx, name, ns, key); err != nil {
			return err
		}
		return made{Subject: name, Namespace: ns, Key: key.Text()}.print(env, f)
	}
	return fmt.Errorf("user %s has no namespace %s", name, ns)
}

func deleteUser(ctx context.Context, _ *Env, s store.Subjects, f userFlags, name string) error {
	if _, err := findUser(ctx, s, name); err != nil {
		return err
	}
	if f.namespace == "" {
		return s.DeleteSubject(ctx, name)
	}
	err := s.DeleteKey(ctx, name, whisk.EntityName(f.namespace))
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("user %s has no namespace %s", name, f.namespace)
	}
	return err
}
