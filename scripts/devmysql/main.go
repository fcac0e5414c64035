package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	client "github.com/go-sql-driver/mysql"
	"github.com/sirupsen/logrus"
)

const usage = "usage: devmysql up --dir DIR [--port N] | devmysql down --dir DIR | devmysql query SQL"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logrus.SetOutput(io.Discard)
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "query" {
		return query(ctx, os.Stdout, args[1])
	}
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("devmysql", flag.ContinueOnError)
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
	case "serve": // what up starts
		return serve(ctx, absolute, *port)
	case "down":
		return down(absolute)
	}
	return errors.New(usage)
}

func envPath(dir string) string { return filepath.Join(dir, "env") }
func pidPath(dir string) string { return filepath.Join(dir, "pid") }

// up starts a process of its own that serves, and waits until it does.
func up(ctx context.Context, dir string, port int) error {
	if _, err := os.Stat(pidPath(dir)); err == nil {
		return fmt.Errorf("a server was started in %s already: run devmysql down --dir %s first", dir, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer log.Close()
	server := exec.Command(self, "serve", "--dir", dir, "--port", strconv.Itoa(port))
	server.Stdout, server.Stderr = log, log
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := server.Start(); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(envPath(dir)); err == nil {
			fmt.Printf("a server that speaks MySQL serves; . %s has host, port and passwords\n", envPath(dir))
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the server ended at once (%v); its log is %s", err, log.Name())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), server.Process.Kill())
		case <-tick.C:
		}
	}
}

func serve(ctx context.Context, dir string, port int) error {
	if err := os.WriteFile(pidPath(dir), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the process id: %w", err)
	}
	defer os.Remove(pidPath(dir))
	server, err := start(port)
	if err != nil {
		return err
	}
	defer server.Close()
	serving := server.address[strings.LastIndexByte(server.address, ':')+1:]
	exports := []string{
		"DEVMYSQL_HOST=" + host, "DEVMYSQL_PORT=" + serving, "DEVMYSQL_DATABASE=" + database, "DEVMYSQL_ROOT_USERNAME=" + rootName,
		"DEVMYSQL_ROOT_PASSWORD=" + server.rootPassword, "DEVMYSQL_ROLE=" + readRole, "DEVMYSQL_ADMIN=" + adminName, "DEVMYSQL_ADMIN_PASSWORD=" + server.adminPassword,
	}
	// Whole or not at all: who waits for it reads it at once.
	unfinished := envPath(dir) + ".new"
	if err := os.WriteFile(unfinished, []byte("export "+strings.Join(exports, "\nexport ")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing exports: %w", err)
	}
	defer os.Remove(envPath(dir))
	if err := os.Rename(unfinished, envPath(dir)); err != nil {
		return fmt.Errorf("writing exports: %w", err)
	}
	<-ctx.Done()
	return nil
}

func down(dir string) error {
	content, err := os.ReadFile(pidPath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no server runs in %s", dir)
	}
	if err != nil {
		return fmt.Errorf("reading the process id: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("reading the process id: %q is none", content)
	}
	// After a crash the file may name a process that is somebody else's by now.
	if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || !strings.Contains(string(command), dir) {
		return os.Remove(pidPath(dir))
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping the server: %w", err)
	}
	giveUp := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-tick.C:
		case <-giveUp:
			return fmt.Errorf("stopping the server: process %d does not end", pid)
		}
	}
	return nil
}

func connect(address, username, password, database string) (*sql.DB, error) {
	c, err := connector(address, username, password, database)
	if err != nil {
		return nil, fmt.Errorf("preparing a connection: %w", err)
	}
	return sql.OpenDB(c), nil
}

// query runs a statement as the variables MYSQL_HOST, MYSQL_PORT, MYSQL_DATABASE, MYSQL_USER and MYSQL_PASSWORD say.
func query(ctx context.Context, out io.Writer, statement string) error {
	if err := client.SetLogger(nothing{}); err != nil {
		return err
	}
	db, err := connect(os.Getenv("MYSQL_HOST")+":"+os.Getenv("MYSQL_PORT"), os.Getenv("MYSQL_USER"), os.Getenv("MYSQL_PASSWORD"), os.Getenv("MYSQL_DATABASE"))
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(columns, "\t"))
	for rows.Next() {
		texts, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range texts {
			into[i] = &texts[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, text := range texts {
			if i > 0 {
				fmt.Fprint(table, "\t")
			}
			fmt.Fprint(table, text.String)
		}
		fmt.Fprintln(table)
	}
	return errors.Join(rows.Err(), table.Flush())
}

// nothing is a log of nothing.
type nothing struct{}

// Print does nothing.
func (nothing) Print(...any) {}
