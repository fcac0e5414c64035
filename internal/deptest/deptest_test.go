package deptest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImportsFollowTheRules(t *testing.T) {
	packages, err := List("../..")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(packages, func(p Package) bool { return p.Path == Module+"/fsm" }) {
		t.Fatalf("the list of %d packages lacks %s/fsm: nothing was checked", len(packages), Module)
	}
	for _, v := range Check(Rules(), packages) {
		t.Error(v)
	}
}

// Each row plants one import that the design forbids, and names the rule that has to find it.
func TestEachRuleCanFail(t *testing.T) {
	tests := []struct{ rule, path, dep string }{
		{"fsm imports nothing of ours", "fsm", "broker/providers"},
		{"fsm imports nothing of ours", "fsm", "net/http"},
		{"the wheel is a plain data structure", "broker/wheel", "broker/fsm"},
		{"the provider contract imports nothing of ours", "providers", "broker/fsm"},
		{"the provider contract imports nothing of ours", "providers", "broker/providers/postgres"},
		{"wire types import nothing of ours", "api/types", "broker/fsm"},
		{"seal imports nothing of ours", "seal", "broker/fsm"},
		{"the format of snapshots imports nothing of ours", "snapshot", "broker/fsm"},
		{"backup sees states, keyrings and the format of snapshots", "backup", "broker/cluster"},
		{"who belongs to a cluster is decided without its machinery", "cluster/trust", "broker/cluster"},
		{"cluster knows nothing of leases", "cluster", "broker/fsm"},
		{"broker sees records, providers and its wheel, and no raft", "broker", "broker/cluster"},
		{"broker sees records, providers and its wheel, and no raft", "broker", "github.com/hashicorp/raft"},
		{"the form of audit logs imports nothing of ours", "access/audit/chain", "broker/access"},
		{"the audit log writes what access tells", "access/audit", "broker/api"},
		{"access decides over records", "access", "broker/broker"},
		{"api sees no cluster and no concrete provider", "api", "broker/cluster"},
		{"api sees no cluster and no concrete provider", "api", "broker/providers/postgres"},
		{"what stands before the API imports nothing of ours", "api/front", "broker/fsm"},
		{"the console is a client like any other", "api/console", "broker/api"},
		{"the kit of the console sees clients and test servers", "api/console/consoletest", "broker/api/console"},
		{"another face of the API sees what that sees", "api/vault", "broker/cluster"},
		{"the client sees wire types only", "api/client/contexts", "broker/api"},
		{"telemetry sees what it shows", "telemetry", "broker/providers/postgres"},
		{"broker sees records, providers and its wheel, and no raft", "broker", "github.com/prometheus/client_golang/prometheus"},
		{"what service managers are told with imports nothing of ours", "sdnotify", "broker/fsm"},
		{"the agent sees the client and wire types only", "agent", "broker/fsm"},
		{"the agent sees the client and wire types only", "agent", "github.com/hashicorp/raft"},
		{"brokerctl sees the client and wire types only", "cmd/brokerctl", "broker/fsm"},
		{"brokerctl sees the client and wire types only", "cmd/brokerctl", "github.com/hashicorp/raft"},
		{"brokerd sees everything but test kits", "cmd/brokerd", "broker/providers/providertest"},
		{"the contract suite sees the contract only", "providers/providertest", "broker/providers/postgres"},
		{"no provider imports another", "providers/postgres", "broker/providers/mysql"},
		{"the providers for AWS share how it is reached", "providers/awsiam", "broker/providers/awssts"},
		{"a provider's test server sees the kit of servers", "providers/postgres/postgrestest", "broker/providers"},
		{"the kit of clusters sees cluster only", "cluster/clustertest", "broker/broker"},
		{"the kit of the API is a server without a cluster", "api/apitest", "broker/cluster"},
		{"scripts and tests of processes see clients and test servers", "scripts/devpostgres", "broker/fsm"},
		{"examples are copied: they see the client at the most", "docs/examples/rotate", "broker/fsm"},
		{"the benchmark sees clients, test servers and the state machine", "internal/bench", "broker/broker"},
		{"packages of tests only build nothing of ours", "internal/deptest", "broker/fsm"},
		{Unplaced, "newcomer", ""},
	}
	for _, test := range tests {
		t.Run(test.path+" → "+test.dep, func(t *testing.T) {
			imports := []string{"fmt", test.dep}
			got := Check(Rules(), []Package{{Path: Module + "/" + test.path, Imports: imports, Deps: imports}})
			want := []Violation{{Rule: test.rule, Package: test.path, Dep: test.dep}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
	for _, rule := range Rules() {
		if !slices.ContainsFunc(tests, func(test struct{ rule, path, dep string }) bool { return test.rule == rule.Name }) {
			t.Errorf("no planted import shows that %q can fail", rule.Name)
		}
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"fsm", "fsm", true},
		{"fsm", "fsmtools", false},
		{"fsm", "fsm/deep", false},
		{"providers/*", "providers/postgres", true},
		{"providers/*", "providers", false},
		{"providers/*", "providers/postgres/postgrestest", false},
		{"scripts/...", "scripts", true},
		{"scripts/...", "scripts/a/b", true},
		{"scripts/...", "scriptsandmore", false},
	}
	for _, test := range tests {
		if got := match(test.pattern, test.path); got != test.want {
			t.Errorf("match(%q, %q) = %t, want %t", test.pattern, test.path, got, test.want)
		}
	}
}
