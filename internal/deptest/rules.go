package deptest

// Module is the module whose packages the rules are about; patterns are paths inside it.
const Module = "broker"

// A Rule says what the packages it covers may see of this module. Patterns are paths inside the module;
// "x/..." is x and everything below it, "x/*" is everything one level below x.
type Rule struct {
	Name  string
	For   []string
	May   []string // what of ours they may reach, through whatever package
	Kits  bool     // test kits among May are meant too
	Never []string // import paths outside this module, and all below, that they must not name themselves
	Save  []string // of those, what they may name all the same
}

// serverLibraries are what only servers need; the command line tool stays small without them.
var serverLibraries = []string{
	"github.com/hashicorp/raft", "github.com/hashicorp/raft-boltdb", "github.com/hashicorp/memberlist",
	"go.etcd.io/bbolt", "github.com/danielgtaylor/huma", "github.com/gorilla/mux", "github.com/jackc/pgx",
	"github.com/tink-crypto/tink-go", "github.com/prometheus", "go.opentelemetry.io",
	"github.com/aws", "github.com/go-sql-driver", "github.com/redis", "github.com/go-ldap",
}

// shows are the libraries that metrics and traces are shown with. Who is measured declares an observer, and
// begins traces through OpenTelemetry's interface alone.
var shows = []string{"github.com/prometheus", "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters"}

// kits are for tests: nothing that ships reaches them.
var kits = []string{"cluster/clustertest", "api/apitest", "api/client/clienttest", "agent/agenttest", "providers/providertest", "providers/*/*", "broker/crashtest", "internal/...", "e2e/...", "api/console/consoletest"}

// Rules returns who may see whom. The first rule that covers a package is its rule.
func Rules() []Rule {
	return []Rule{
		{Name: "fsm imports nothing of ours", For: []string{"fsm"},
			Never: append([]string{"net", "os/exec", "math/rand", "crypto/rand", "go.opentelemetry.io"}, shows...),
			Save:  []string{"net/netip"}}, // values without a network
		{Name: "the wheel is a plain data structure", For: []string{"broker/wheel"}, Never: []string{"net"}},
		{Name: "the provider contract imports nothing of ours", For: []string{"providers"},
			Never: []string{"github.com/jackc/pgx"}},
		{Name: "wire types import nothing of ours", For: []string{"api/types"}, Never: serverLibraries},
		{Name: "seal imports nothing of ours", For: []string{"seal"}},
		{Name: "the format of snapshots imports nothing of ours", For: []string{"snapshot"}, Never: serverLibraries},
		{Name: "backup sees states, keyrings and the format of snapshots", For: []string{"backup"}, May: []string{"fsm", "seal", "snapshot"}},
		{Name: "who belongs to a cluster is decided without its machinery", For: []string{"cluster/trust"}, Never: serverLibraries},
		{Name: "cluster knows nothing of leases", For: []string{"cluster"}, May: []string{"cluster/trust"}, Never: shows},
		{Name: "broker sees records, providers and its wheel, and no raft", For: []string{"broker"},
			May: []string{"fsm", "providers", "broker/wheel"}, Never: append([]string{"github.com/hashicorp/raft"}, shows...)},
		{Name: "the form of audit logs imports nothing of ours", For: []string{"access/audit/chain"}, Never: serverLibraries},
		{Name: "the audit log writes what access tells", For: []string{"access/audit"}, May: []string{"access", "access/audit/chain", "fsm"}},
		{Name: "access decides over records", For: []string{"access"}, May: []string{"fsm"}},
		{Name: "api sees no cluster and no concrete provider", For: []string{"api"},
			May:   []string{"api/types", "api/front", "api/vault", "access", "broker", "broker/wheel", "fsm", "providers"},
			Never: append([]string{"github.com/hashicorp/raft", "github.com/jackc/pgx"}, shows...)},
		{Name: "what stands before the API imports nothing of ours", For: []string{"api/front"}, Never: append(serverLibraries, shows...)},
		{Name: "the console is a client like any other", For: []string{"api/console"},
			May: []string{"api/types", "api/client"}, Never: serverLibraries},
		{Name: "another face of the API sees what that sees", For: []string{"api/vault"},
			May:   []string{"api/types", "access", "broker", "broker/wheel", "fsm", "providers"},
			Never: []string{"github.com/hashicorp/raft", "github.com/jackc/pgx"}},
		{Name: "the client sees wire types only", For: []string{"api/client", "api/client/..."},
			May: []string{"api/types", "api/client/..."}, Never: serverLibraries},
		{Name: "telemetry sees what it shows", For: []string{"telemetry"},
			May:   []string{"access", "api", "api/types", "api/front", "api/vault", "broker", "broker/wheel", "cluster", "cluster/trust", "fsm", "providers"},
			Never: []string{"github.com/hashicorp/raft", "github.com/jackc/pgx"}},
		{Name: "what service managers are told with imports nothing of ours", For: []string{"sdnotify"}, Never: serverLibraries},
		{Name: "the agent sees the client and wire types only", For: []string{"agent", "agent/agenttest"}, May: []string{"api/types", "api/client", "sdnotify"}, Never: serverLibraries,
			Save: []string{"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/promhttp"}},
		{Name: "brokerctl sees the client and wire types only", For: []string{"cmd/brokerctl", "cmd/brokerctl/internal/..."},
			May: []string{"api/types", "api/client/...", "cmd/brokerctl/internal/...", "agent", "sdnotify", "snapshot", "access/audit/chain"}, Never: serverLibraries},
		{Name: "brokerd sees everything but test kits", For: []string{"cmd/brokerd"},
			May: []string{
				"access", "access/audit", "access/audit/chain", "api", "api/types", "api/front", "api/console", "api/vault", "api/client", "api/client/contexts", "broker", "broker/wheel",
				"backup", "cluster", "cluster/trust", "fsm", "providers", "providers/*", "sdnotify", "seal", "snapshot", "telemetry",
			}},
		{Name: "the contract suite sees the contract only", For: []string{"providers/providertest"}, May: []string{"providers"}},
		{Name: "the providers for AWS share how it is reached", For: []string{"providers/awsiam", "providers/awssts"}, May: []string{"providers", "providers/awsclient"}},
		{Name: "no provider imports another", For: []string{"providers/*"}, May: []string{"providers"}},
		{Name: "a provider's test server sees the kit of servers", For: []string{"providers/*/*"}, Kits: true, May: []string{"internal/testserver"}},
		{Name: "the kit of clusters sees cluster only", For: []string{"cluster/clustertest"}, May: []string{"cluster", "cluster/trust"}},
		{Name: "the kit of the console sees clients and test servers", For: []string{"api/console/consoletest"}, Kits: true,
			May: []string{"api/types", "api/client", "providers/*/*", "internal/testserver"}},
		{Name: "the kit of the API is a server without a cluster", For: []string{"api/apitest"}, Kits: true,
			May: []string{"access", "access/audit", "access/audit/chain", "api", "api/types", "api/front", "api/vault", "broker", "broker/wheel", "cluster/trust", "fsm", "providers", "providers/providertest", "seal"}},
		{Name: "scripts and tests of processes see clients and test servers", For: []string{"scripts/...", "e2e/..."}, Kits: true,
			May: []string{"api/types", "api/client/...", "providers/*/*", "e2e/...", "scripts/...", "internal/faultproxy", "internal/testserver", "snapshot", "docs/examples/..."}},
		{Name: "examples are copied: they see the client at the most", For: []string{"docs/examples/..."},
			May: []string{"api/types", "api/client"}},
		{Name: "the benchmark sees clients, test servers and the state machine", For: []string{"internal/bench"}, Kits: true,
			May: []string{"api/types", "api/client/...", "providers/*/*", "internal/testserver", "fsm"}},
		{Name: "packages of tests only build nothing of ours", For: []string{"internal/...", "broker/crashtest"}},
	}
}
