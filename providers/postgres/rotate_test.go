package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/postgres/postgrestest"
)

var rotating atomic.Int64

// rotatingRoot makes another root account, whose password a test may exchange.
func rotatingRoot(t *testing.T) map[string]any {
	t.Helper()
	name, password := fmt.Sprintf("rotating_%d", rotating.Add(1)), rand.Text()
	version := query[int](t, server, "postgres", "SELECT current_setting('server_version_num')::int")
	var statements []string
	for _, sql := range postgrestest.RootStatements(version/10000, password, postgrestest.ReadRole, postgrestest.WriteRole) {
		statements = append(statements, strings.ReplaceAll(sql, postgrestest.RootName, name))
	}
	server.MustExec(t, "postgres", statements...)
	connection := connectionTo(server, password)
	connection["username"] = name
	return connection
}

// A rotation ends the sessions that the old password opened, those of an earlier leader included, and none of its own.
func TestRetireEndsSessions(t *testing.T) {
	root := rotatingRoot(t)
	k := open(t, root)
	username, password := root["username"].(string), root["password"].(string)
	foreign, err := server.Connect(t.Context(), username, password, postgrestest.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close(context.Background())
	plan, err := providers.PlanRotation(t.Context(), k.again(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The earlier leader stands in the middle of its call.
	paused := k.again(1)
	if _, err := paused.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	changed, err := providers.Rotate(t.Context(), k.again(2), plan)
	if err != nil {
		t.Fatal(err)
	}
	after := open(t, map[string]any{"username": username, "password": changed.String("password")})
	own := after.again(2)
	if _, err := own.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := providers.Retire(t.Context(), own, providers.Settings{"password": password}); err != nil {
		t.Fatalf("retiring: %v", err)
	}
	if _, err := foreign.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a session of the old password goes on")
	}
	const sessions = `SELECT string_agg(application_name, ' ') FROM pg_stat_activity WHERE usename = $1`
	if got := query[string](t, server, "postgres", sessions, username); !strings.HasSuffix(got, "/t2") || strings.Contains(got, " ") {
		t.Errorf("sessions: %q", got)
	}
	if _, err := own.Check(t.Context()); err != nil {
		t.Errorf("its own session: %v", err)
	}
	// An earlier leader that comes back to retire ends nobody's of the present one.
	if err := providers.Retire(t.Context(), after.again(1), providers.Settings{"password": password}); err != nil {
		t.Fatalf("retiring again: %v", err)
	}
	if got := query[string](t, server, "postgres", sessions, username); !strings.Contains(got, "/t2") {
		t.Errorf("sessions: %q", got)
	}
}

// The server's log has not the new password, though it logs every statement.
func TestRotationIsNotLogged(t *testing.T) {
	server := postgrestest.Start(t)
	password := server.MustPrepare(t)
	server.MustExec(t, "postgres", "ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()")
	k := openAt(t, server, password, nil)
	plan, err := providers.PlanRotation(t.Context(), k.Backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := providers.Rotate(t.Context(), k.Backend, plan)
	if err != nil {
		t.Fatal(err)
	}
	after := openAt(t, server, changed.String("password"), nil)
	if err := providers.Retire(t.Context(), after.Backend, providers.Settings{"password": password}); err != nil {
		t.Fatal(err)
	}
	logged := ""
	err = filepath.Walk(server.Dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && strings.Contains(info.Name(), "log") {
			data, _ := os.ReadFile(path)
			logged += string(data)
		}
		return nil
	})
	if err != nil || !strings.Contains(logged, "ALTER ROLE SESSION_USER PASSWORD") {
		t.Fatalf("the statement is not in the log: %v; the test is wrong", err)
	}
	if strings.Contains(logged, changed.String("password")) {
		t.Error("the password is in the server's log")
	}
}

// A server that does not ask for the password has none to exchange, and says so before anything is done.
func TestRotationWhereEverybodyIsLetIn(t *testing.T) {
	server := postgrestest.Start(t)
	password := server.MustPrepare(t)
	k := openAt(t, server, password, nil)
	plan, err := providers.PlanRotation(t.Context(), k.Backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(server.Data(), "pg_hba.conf")
	rules, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("host all "+postgrestest.RootName+" 127.0.0.1/32 trust\n"), rules...), 0o600); err != nil {
		t.Fatal(err)
	}
	server.MustExec(t, "postgres", "SELECT pg_reload_conf()")
	k = openAt(t, server, password, nil)
	deadline := time.Now().Add(10 * time.Second)
	for { // the server reads the rules when it comes to it
		_, err = providers.PlanRotation(t.Context(), k.Backend, nil)
		if err != nil || time.Now().After(deadline) {
			break
		}
	}
	var pe *providers.Error
	if !errors.As(err, &pe) || pe.Kind != providers.KindRejected || !strings.Contains(pe.Hint, "pg_hba.conf") {
		t.Errorf("planning: %v", err)
	}
	err = providers.Retire(t.Context(), k.Backend, plan)
	if !errors.As(err, &pe) || pe.Kind != providers.KindRejected || !strings.Contains(pe.Error(), "still accepts") {
		t.Errorf("retiring: %v", err)
	}
}

// cutting is a way to the server that breaks off after so many bytes of the client's.
type cutting struct {
	net.Listener
	left atomic.Int64
}

func startCutting(t *testing.T) *cutting {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutting{Listener: l}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { c.serve(client) })
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return c
}

func (c *cutting) serve(client net.Conn) {
	defer client.Close()
	upstream, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", fmt.Sprintf("%s:%d", postgrestest.Host, server.Port))
	if err != nil {
		return
	}
	defer upstream.Close()
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		io.Copy(client, upstream)
		client.Close()
	}()
	one := make([]byte, 64)
	for {
		n, err := client.Read(one)
		for i := range n {
			if c.left.Add(-1) < 0 {
				client.Close() // the process is gone; what it sent arrives
				upstream.(*net.TCPConn).CloseWrite()
				<-answers
				return
			}
			if _, err := upstream.Write(one[i : i+1]); err != nil {
				return
			}
		}
		if err != nil {
			upstream.(*net.TCPConn).CloseWrite()
			<-answers
			return
		}
	}
}

// A process dies after every so many bytes of what it sends: the plan and the settings open the server at every moment,
// and the next process comes to the end.
func TestRotationCutShort(t *testing.T) {
	root := rotatingRoot(t)
	way := startCutting(t)
	through := func(password string) map[string]any {
		return map[string]any{"username": root["username"], "password": password, "port": way.Addr().(*net.TCPAddr).Port, "sslmode": "disable"}
	}
	present := root["password"].(string)
	cut := 0
	for budget := int64(20); ; budget += 60 {
		way.left.Store(1 << 40)
		plan, err := providers.PlanRotation(t.Context(), open(t, through(present)).Backend, nil)
		if err != nil {
			t.Fatal(err)
		}
		way.left.Store(budget)
		_, err = providers.Rotate(t.Context(), open(t, through(present)).Backend, plan)
		way.left.Store(1 << 40)
		if err == nil {
			break
		}
		cut++
		changed, err := providers.Rotate(t.Context(), open(t, through(present)).Backend, plan)
		if err != nil {
			t.Fatalf("after %d bytes: %v", budget, err)
		}
		next := open(t, through(changed.String("password")))
		if _, err := next.Check(t.Context()); err != nil {
			t.Fatalf("after %d bytes: the new password: %v", budget, err)
		}
		if err := providers.Retire(t.Context(), next.Backend, providers.Settings{"password": present}); err != nil {
			t.Fatalf("after %d bytes: retiring: %v", budget, err)
		}
		present = changed.String("password")
	}
	if cut < 5 {
		t.Errorf("only %d interruptions", cut)
	}
}
