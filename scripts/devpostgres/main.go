// Command devpostgres runs a PostgreSQL server for trying the broker out: with a database "orders",
// a group role "readonly" and a root account "broker" prepared as the provider's page says.
//
//	devpostgres up --dir DIR [--port N]    start it and write DIR/env with shell exports
//	devpostgres down --dir DIR             stop it and remove its data
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"broker/providers/postgres/postgrestest"
)

const usage = "usage: devpostgres up --dir DIR [--port N] | devpostgres down --dir DIR"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("devpostgres", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory for env and state")
	port := flags.Int("port", 0, "port to listen on; 0 is a free one")
	if err := flags.Parse(args[1:]); err != nil {
		return fmt.Errorf("%w\n%s", err, usage)
	}
	if *dir == "" || flags.NArg() > 0 {
		return errors.New(usage)
	}
	absolute, err := filepath.Abs(*dir)
	if err != nil {
		return fmt.Errorf("finding %s: %w", *dir, err)
	}
	switch args[0] {
	case "up":
		return up(ctx, absolute, *port)
	case "down":
		return down(absolute)
	}
	return errors.New(usage)
}

// state is what down needs to know, in DIR/devpostgres.json.
type state struct {
	Dir  string `json:"dir"`
	Data string `json:"data"`
}

func statePath(dir string) string { return filepath.Join(dir, "devpostgres.json") }

func up(ctx context.Context, dir string, port int) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	if _, err := os.Stat(statePath(dir)); err == nil {
		return fmt.Errorf("a server was started in %s already: run devpostgres down --dir %s first", dir, dir)
	}
	server, err := postgrestest.Run(ctx, postgrestest.Config{Dir: filepath.Join(dir, "postgres"), Port: port, Detached: true})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, server.Close())
		}
	}()
	password, err := server.Prepare(ctx)
	if err != nil {
		return err
	}
	content, err := json.Marshal(state{Dir: server.Dir, Data: server.Data()})
	if err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	if err := os.WriteFile(statePath(dir), append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	exports := []string{
		"DEVPOSTGRES_HOST=" + postgrestest.Host,
		fmt.Sprintf("DEVPOSTGRES_PORT=%d", server.Port),
		"DEVPOSTGRES_DATABASE=" + postgrestest.Database,
		"DEVPOSTGRES_ROOT_USERNAME=" + postgrestest.RootName,
		"DEVPOSTGRES_ROOT_PASSWORD=" + password,
		"DEVPOSTGRES_GROUP=" + postgrestest.ReadRole,
		"DEVPOSTGRES_SUPERUSER=" + postgrestest.SuperuserName,
		"DEVPOSTGRES_SUPERUSER_PASSWORD=" + server.SuperuserPassword,
		"DEVPOSTGRES_LOG='" + strings.ReplaceAll(server.LogFile(), "'", `'\''`) + "'",
		"DEVPOSTGRES_BIN='" + strings.ReplaceAll(server.Bin, "'", `'\''`) + "'",
	}
	env := filepath.Join(dir, "env")
	if err := os.WriteFile(env, []byte("export "+strings.Join(exports, "\nexport ")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing exports: %w", err)
	}
	fmt.Printf("PostgreSQL serves on %s:%d; its log is %s\n. %s   # host, port and passwords\n", postgrestest.Host, server.Port, server.LogFile(), env)
	return nil
}

func down(dir string) error {
	content, err := os.ReadFile(statePath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no server was started in %s", dir)
	}
	if err != nil {
		return fmt.Errorf("reading state: %w", err)
	}
	var s state
	if err := json.Unmarshal(content, &s); err != nil {
		return fmt.Errorf("reading state: %w", err)
	}
	if err := postgrestest.StopDetached(s.Data); err != nil {
		return err
	}
	for _, path := range []string{s.Dir, filepath.Join(dir, "env"), statePath(dir)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing %s: %w", path, err)
		}
	}
	return nil
}
