package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"broker/access"
	"broker/access/audit"
	"broker/access/audit/chain"
	"broker/api"
	"broker/api/apitest"
	"broker/backup"
	"broker/providers"
	"broker/providers/providertest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"brokerctl": func() { os.Exit(run()) }, "waitfor": waitfor})
}

// The scripts in testdata each have a broker of their own, over an outside system that is a fake.
// Besides the usual commands there are:
//
//	exec waitfor SECONDS COMMAND  run a shell's command until it succeeds, also in a script's scripts
//	variable NAME FILE     set a variable to the content of a file (stdout for the last output)
//	leader ID|none         decide who leads
//	refuse CODE TEXT       have changes of the cluster's nodes refused; accept: no more
//	asked PATTERN          check that the cluster was asked for such a change
//	exitcode N COMMAND…    run a command that has to end with this exit code
//	perm MODE FILE         check a file's permissions
//	logins N               check how many logins the outside system has
//	stick, unstick         have no login removed any more, or again
//	stray NAME             put a login there that ends with this name and that no lease knows
//	restored [drill]       have the cluster be one that was restored from a snapshot
//	kubernetes             start an API server of Kubernetes; object PATH FILE [METHOD]: get an object, or post or delete one
//	manager FILE           listen as systemd does, and note there what is told
//	fetch URL FILE         get a page into a file, once it answers with success
//	fail OP [refuse], heal have the calls of a kind find the system away, or be refused; or none
//	another NAME [FILE]    set a variable to the address of another broker, which holds nothing, and writes its audit log there
//	manysecrets DIR N      write a file for each of so many secrets
//
//	auditlog FILE NODE N [unanchored]  write an audit log of so many requests, and anchor it
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Condition: func(condition string) (bool, error) {
			path, ok := strings.CutPrefix(condition, "exists:")
			if !ok {
				return false, fmt.Errorf("unknown condition %q", condition)
			}
			_, err := os.Stat(path)
			return err == nil, nil
		},
		Setup: func(env *testscript.Env) error {
			maker := &backup.Maker{Node: "n1", Version: "test"}
			kit := apitest.Start(t, func(c *api.Config) {
				c.Snapshot = func() (api.Snapshot, error) { return maker.Begin() }
				c.Authorizer = c.Access.(*access.Decider)
			})
			maker.State, maker.Keyring = kit.State, kit.Keyring
			follower, _ := kit.Follower(t, "n2", nil)
			env.Values["kit"] = kit
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command lasts a second more under the race detector
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", "")
			env.Setenv("BROKER_ADDR", kit.URL)
			env.Setenv("BROKER_TOKEN", apitest.Token)
			env.Setenv("LEADER", kit.URL)
			env.Setenv("FOLLOWER", follower)
			env.Setenv("TOKEN", apitest.Token)
			env.Setenv("ROOTPW", apitest.RootPassword)
			if err := os.WriteFile(filepath.Join(env.WorkDir, "token"), []byte(apitest.Token+"\n"), 0o600); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "pw.txt"), []byte(apitest.RootPassword+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"variable": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
			},
			"refuse": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value("kit").(*apitest.Kit).Members.Refuse(apitest.Refusal(args[0], args[1]))
			},
			"accept": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Value("kit").(*apitest.Kit).Members.Refuse(nil)
			},
			"asked": func(ts *testscript.TestScript, _ bool, args []string) {
				asked := strings.Join(ts.Value("kit").(*apitest.Kit).Members.Asked(), "\n")
				if !regexp.MustCompile("(?m)^admin: " + args[0] + "$").MatchString(asked) {
					ts.Fatalf("the cluster was asked:\n%s", asked)
				}
			},
			"leader": func(ts *testscript.TestScript, _ bool, args []string) {
				id := args[0]
				if id == "none" {
					id = ""
				}
				ts.Value("kit").(*apitest.Kit).Cluster.SetLeader(id)
			},
			"exitcode": func(ts *testscript.TestScript, _ bool, args []string) {
				err := ts.Exec(args[1], args[2:]...)
				code := 0
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					code = exit.ExitCode()
				}
				if number(code) != args[0] {
					ts.Fatalf("it ended with %d (%v), want %s", code, err, args[0])
				}
			},
			"perm": func(ts *testscript.TestScript, _ bool, args []string) {
				info, err := os.Stat(ts.MkAbs(args[1]))
				ts.Check(err)
				if got := info.Mode().Perm().String(); got != args[0] {
					ts.Fatalf("%s has permissions %s", args[1], got)
				}
			},
			"stick": func(ts *testscript.TestScript, _ bool, _ []string) {
				fake := ts.Value("kit").(*apitest.Kit).Fake
				for _, login := range fake.Logins() {
					fake.Stick(login.Name, "it owns a table")
				}
			},
			"unstick": func(ts *testscript.TestScript, _ bool, _ []string) {
				fake := ts.Value("kit").(*apitest.Kit).Fake
				for _, login := range fake.Logins() {
					fake.Unstick(login.Name)
				}
			},
			"stray": func(ts *testscript.TestScript, _ bool, args []string) {
				fake := ts.Value("kit").(*apitest.Kit).Fake
				stray := fake.Logins()[0]
				stray.Name += providers.LoginName("_" + args[0])
				fake.Add(stray)
			},
			"fail": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value("kit").(*apitest.Kit).Fake.Fail(providertest.Op(args[0]), map[bool]providertest.Fault{true: providertest.FaultRefuse, false: providertest.FaultUnreachable}[len(args) > 1 && args[1] == "refuse"])
			},
			"auditlog": func(ts *testscript.TestScript, _ bool, args []string) {
				head, err := writeAuditLog(ts.MkAbs(args[0]), args[1], args[2], ts.Value("kit").(*apitest.Kit).Keyring)
				ts.Check(err)
				if len(args) == 3 {
					ts.Value("kit").(*apitest.Kit).Anchor(t, args[1], head)
				}
			},
			"kubernetes": kubernetes(t),
			"object":     object,
			"fetch":      fetch,
			"manager":    manager(t),
			"heal": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Value("kit").(*apitest.Kit).Fake.Heal()
			},
			"another": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[0], apitest.Start(t, func(c *api.Config) {
					c.Authorizer = c.Access.(*access.Decider)
					if len(args) > 1 {
						log, err := audit.New(audit.Config{Path: ts.MkAbs(args[1]), Node: "n1", Hasher: ts.Value("kit").(*apitest.Kit).Keyring, Timeout: 20 * time.Second})
						ts.Check(err)
						ts.Defer(func() { _ = log.Close(context.Background()) })
						c.Audit, c.AuditLog = log, log
					}
				}).URL)
			},
			"manysecrets": func(ts *testscript.TestScript, _ bool, args []string) {
				count, err := strconv.Atoi(args[1])
				ts.Check(err)
				for i := range count {
					text := fmt.Sprintf("kind: secret\nenvironment: payments/production\nname: s%d\nconnection: orders-db\noutputs: [{key: USER_%d, source: username}]\n", i, i)
					ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), fmt.Sprintf("s%d.yaml", i)), []byte(text), 0o600))
				}
			},
			"restored": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value("kit").(*apitest.Kit).Restore(t, len(args) > 0 && args[0] == "drill")
			},
			"logins": func(ts *testscript.TestScript, _ bool, args []string) {
				if got := number(len(ts.Value("kit").(*apitest.Kit).Fake.Logins())); got != args[0] {
					ts.Fatalf("the outside system has %s logins, want %s", got, args[0])
				}
			},
		},
	})
}

// writeAuditLog writes an audit log over several files and returns its head.
func writeAuditLog(path, node, count string, hasher access.Hasher) (head chain.Head, err error) {
	log, err := audit.New(audit.Config{Path: path, Node: node, Hasher: hasher, MaxSize: 2000})
	if err != nil {
		return head, err
	}
	last, err := strconv.Atoi(count)
	records := 1
	for n := 1; n < last && err == nil; n = records {
		err = log.Request(context.Background(), access.RequestRecord{ID: fmt.Sprintf("R%d", records), Stage: access.StageServed, Action: "lease:issue"})
		f := log.Figures()
		records = int(f.Requests + f.Others)
	}
	if err = errors.Join(err, log.Close(context.Background())); err != nil {
		return head, err
	}
	head, _ = log.Head()
	return head, nil
}
