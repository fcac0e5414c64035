package rabbitmq_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/internal/testserver"
	"broker/providers"
	"broker/providers/rabbitmq"
	"broker/providers/rabbitmq/rabbitmqtest"
)

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	fmt.Sscan(port, &n)
	return n
}

func TestRefusals(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	server.MustDo(t, http.MethodPut, "users/weak", map[string]string{"password": "weak-password", "tags": "monitoring"})
	for _, test := range []struct {
		name      string
		overrides map[string]any
		kind      providers.Kind
		notSent   bool
		text      string
	}{
		{"wrong root password", map[string]any{"password": "canary-wrong"}, providers.KindRejected, true, "password was refused"},
		{"nothing listens", map[string]any{"port": closedPort}, providers.KindUnavailable, true, "refused"},
		{"metadata address", map[string]any{"host": "169.254.169.254"}, providers.KindRejected, true, "link-local"},
		{"no TLS there", map[string]any{"tls": "verify"}, providers.KindRejected, true, "tls=off"},
		{"the port for clients", map[string]any{"port": server.Port(), "request_timeout": "3s"}, providers.KindUnknown, false, "at 127.0.0.1"},
		{"no administrator", map[string]any{"username": "weak", "password": "weak-password"}, providers.KindRejected, false, "set_user_tags weak administrator"},
	} {
		_, err := open(t, test.overrides).Check(t.Context())
		wantError(t, test.name, err, test.kind, test.notSent, test.text)
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error holds the password", test.name)
		}
	}
	k := open(t, map[string]any{"username": "weak", "password": "weak-password"})
	_, err = k.Create(t.Context(), k.grant(nil))
	wantError(t, "creating without the tag", err, providers.KindRejected, true, "administrator")
}

// What is carried out late, after the login was removed, makes nothing that can do something.
func TestLateRequestsMakeNothingUseful(t *testing.T) {
	k := open(t, nil)
	login, made := k.create(nil)
	k.mustRevoke(login)
	if _, err := server.Do(t.Context(), http.MethodPut, "permissions/"+url.PathEscape(rabbitmqtest.VHost)+"/"+string(login.Name), map[string]string{"configure": ".*", "write": ".*", "read": ".*"}); err == nil {
		t.Error("permissions were given to a user that is gone")
	}
	server.MustDo(t, http.MethodPut, "users/"+string(login.Name), map[string]string{"password": made["password"].Reveal(), "tags": "broker:" + clusterID})
	if _, err := server.Connect(t.Context(), made["username"].Reveal(), made["password"].Reveal()); err == nil {
		t.Error("a user without permissions can connect")
	}
	k.mustRevoke(login)
}

// Absence is believed a quarantine after the deadline, and not as long as something came meanwhile.
func TestQuarantine(t *testing.T) {
	k := open(t, map[string]any{"quarantine": "2s"})
	login := k.grant(nil).Login
	notBefore := time.Now()
	confirm := func() error {
		return k.ConfirmAbsent(t.Context(), []providers.Login{login}, notBefore)[login.Name]
	}
	if err := confirm(); time.Since(notBefore) < time.Second { // the server tells whole seconds
		wantError(t, "right after the deadline", err, providers.KindTooEarly, false, "may still come")
	}
	server.MustDo(t, http.MethodPut, "users/"+string(login.Name), map[string]string{"password": "late", "tags": ""})
	wantError(t, "when a late create came", confirm(), providers.KindExists, false, "exists")
	k.mustRevoke(login)
	eventually(t, "absence is confirmed", func() bool { return confirm() == nil })
	if time.Since(notBefore) < 2*time.Second {
		t.Error("absence was confirmed before the quarantine was over")
	}
}

func TestRefusedOverAMQPAndSessionsEnd(t *testing.T) {
	k := open(t, nil)
	login, made := k.create(map[string]any{"permissions": []any{"vhost=" + rabbitmqtest.VHost + " read=^orders$"}, "topic_permissions": []any{"vhost=" + rabbitmqtest.VHost + " exchange=amq.topic read=^a$"}})
	conn, err := server.Connect(t.Context(), made["username"].Reveal(), made["password"].Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := rabbitmqtest.Look(conn); err != nil {
		t.Error(err)
	}
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.QueueDeclare("mine", false, false, false, false, nil); err == nil {
		t.Error("the login may declare what it has no permission for")
	}
	if said := server.MustDo(t, http.MethodGet, "users/"+string(login.Name)+"/topic-permissions", nil); !bytes.Contains(said, []byte("amq.topic")) {
		t.Errorf("topic permissions: %s", said)
	}
	k.mustRevoke(login)
	if !conn.IsClosed() {
		eventually(t, "the client notices that its connection is closed", conn.IsClosed)
	}
	if _, err := server.Connect(t.Context(), made["username"].Reveal(), made["password"].Reveal()); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
}

func TestTags(t *testing.T) {
	k := open(t, nil)
	for _, test := range []struct {
		options map[string]any
		want    string
	}{
		{map[string]any{"tags": []any{"monitoring", "own-tag"}}, "monitoring own-tag"},
		{map[string]any{"administrator": true}, "administrator"},
	} {
		login, made := k.create(test.options)
		said, err := server.API(t.Context(), made["username"].Reveal(), made["password"].Reveal(), http.MethodGet, "whoami", nil)
		var self struct{ Tags []string }
		if err == nil {
			err = json.Unmarshal(said, &self)
		}
		if want := test.want + " broker:" + clusterID + " broker-lease:01J0RABBITTESTLEASE0000000"; err != nil || strings.Join(self.Tags, " ") != want {
			t.Errorf("got %v, %v, want %s", self.Tags, err, want)
		}
		k.mustRevoke(login)
	}
}

func TestOnlyMarkedUsersAreOurs(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(nil)
	stranger, imposter := k.prefix+"stranger", k.prefix+"imposter"
	server.MustDo(t, http.MethodPut, "users/"+stranger, map[string]string{"password": "x", "tags": ""})
	server.MustDo(t, http.MethodPut, "users/"+imposter, map[string]string{"password": "x", "tags": "broker:ANOTHER"})
	ours := map[string]bool{}
	for found, err := range k.List(t.Context(), k.prefix) {
		if err != nil {
			t.Fatal(err)
		}
		ours[string(found.Name)] = found.Ours
	}
	if len(ours) != 3 || !ours[string(login.Name)] || ours[stranger] || ours[imposter] {
		t.Errorf("got %v", ours)
	}
	k.mustRevoke(login, providers.Login{Name: providers.LoginName(stranger)}, providers.Login{Name: providers.LoginName(imposter)})
}

func TestCheckOptions(t *testing.T) {
	k := open(t, nil)
	problems, err := providers.CheckOptions(t.Context(), k.Backend, options(t, map[string]any{"permissions": []any{"vhost=/nowhere read=.*", "read=.*"}}))
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Message, `"/nowhere" does not exist`) {
		t.Errorf("got %v, %v", problems, err)
	}
	grant := k.grant(map[string]any{"permissions": []any{"read=("}})
	_, err = k.Create(t.Context(), grant)
	wantError(t, "a wrong regular expression", err, providers.KindRejected, false, "invalid_regexp")
	k.mustRevoke(grant.Login)
}

// At another cluster everything is absent, which means nothing; nor is anything asked of it but who it is.
func TestAnotherClusterAtTheAddress(t *testing.T) {
	k := open(t, nil)
	identity, err := k.Check(t.Context())
	if err != nil || !strings.HasPrefix(string(identity), "rabbitmq-rabbitmq-cluster-id-") {
		t.Fatalf("identity: %q, %v", identity, err)
	}
	var others atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/global-parameters/internal_cluster_id" {
			fmt.Fprint(w, `{"name":"internal_cluster_id","value":"another"}`)
			return
		}
		others.Add(1)
		http.Error(w, "{}", http.StatusNotFound)
	}))
	defer other.Close()
	moved := open(t, map[string]any{"port": portOf(t, other.Listener.Addr().String())})
	moved.Backend = moved.with(providers.Env{ClusterID: clusterID, Identity: identity})
	grant := moved.grant(nil)
	refused := func(what string, err error) {
		t.Helper()
		wantError(t, what, err, providers.KindUnavailable, true, "another one than the one that is meant")
	}
	_, err = moved.Create(t.Context(), grant)
	refused("creating", err)
	refused("revoking", moved.Revoke(t.Context(), []providers.Login{grant.Login})[grant.Name])
	refused("confirming absence", moved.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, time.Now().Add(-time.Hour))[grant.Name])
	for _, err := range moved.List(t.Context(), moved.prefix) {
		refused("listing", err)
	}
	if n := others.Load(); n != 0 {
		t.Errorf("%d requests went to the other cluster", n)
	}
}

// A success that was learned while the address came to mean another cluster is none.
func TestClusterChangesMeanwhile(t *testing.T) {
	k := open(t, nil)
	identity, err := k.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	changing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/global-parameters/internal_cluster_id" {
			http.Error(w, "{}", http.StatusNotFound)
			return
		}
		id := strings.TrimPrefix(string(identity), "rabbitmq-")
		if asked++; asked > 1 {
			id = "another"
		}
		fmt.Fprintf(w, `{"value":%q}`, id)
	}))
	defer changing.Close()
	moved := open(t, map[string]any{"port": portOf(t, changing.Listener.Addr().String())})
	b := moved.with(providers.Env{ClusterID: clusterID, Identity: identity})
	login := moved.grant(nil).Login
	wantError(t, "confirming absence", b.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Hour))[login.Name],
		providers.KindUnavailable, false, "another one")
}

func TestTLS(t *testing.T) {
	made, err := testserver.NewCertificates("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(made.Certificate), []byte(made.Key))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: server.Management()})
	}})
	proxy.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are to fail
	proxy.StartTLS()
	defer proxy.Close()
	port := portOf(t, proxy.Listener.Addr().String())
	_, err = open(t, map[string]any{"port": port, "tls": "verify"}).Check(t.Context())
	wantError(t, "an unknown authority", err, providers.KindRejected, true, "tls_ca")
	k := open(t, map[string]any{"port": port, "tls": "verify", "tls_ca": made.Authority, "client_tls": true})
	if _, err := k.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	login, values := k.create(nil)
	if !strings.HasPrefix(values["url"].Reveal(), "amqps://") || !strings.HasSuffix(values["url"].Reveal(), "/%2Forders") {
		t.Error("the URL is not that of the virtual host over TLS")
	}
	k.mustRevoke(login)
}

func TestServerSeesNoPassword(t *testing.T) {
	k := open(t, nil)
	login, made := k.create(nil)
	defer k.mustRevoke(login)
	err := filepath.WalkDir(server.Dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // a temporary file that is gone
		}
		if content, _ := os.ReadFile(path); bytes.Contains(content, []byte(made["password"].Reveal())) {
			t.Errorf("%s holds the password in clear", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadOnlyChangesNothing(t *testing.T) {
	k := open(t, nil)
	login, made := k.create(nil)
	frozen := k.with(providers.Env{ClusterID: clusterID, ReadOnly: true})
	if _, err := frozen.Check(t.Context()); err != nil {
		t.Errorf("checking: %v", err)
	}
	if _, err := frozen.Create(t.Context(), k.grant(nil)); err == nil {
		t.Error("it creates")
	}
	if frozen.Revoke(t.Context(), []providers.Login{login})[login.Name] == nil {
		t.Error("it revokes")
	}
	if err := providers.LogIn(t.Context(), k.Backend, made); err != nil {
		t.Errorf("something changed: %v", err)
	}
	k.mustRevoke(login)
}

// The page's commands are those that the tests prepare their root account by.
func TestReadmePreparesTheRootAccount(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if commands := strings.Join(rabbitmqtest.RootCommands("broker", "change-me"), "\n"); !strings.Contains(string(content), commands) {
		t.Errorf("the page lacks the commands\n%s", commands)
	}
}

func TestHostileNames(t *testing.T) {
	k := open(t, nil)
	for _, rest := range []string{"", "/../admin", "a%2Fb", "a b", "a:b", "a\nb", "é", "a\x00", strings.Repeat("x", 200)} {
		login := providers.Login{Name: providers.LoginName(k.prefix + rest)}
		if rest == "" {
			login.Name = "admin"
		}
		wantError(t, fmt.Sprintf("revoking %q", login.Name), k.Revoke(t.Context(), []providers.Login{login})[login.Name], providers.KindRejected, true, "refusing")
	}
	if _, err := (rabbitmq.Provider{}).Open(providers.Settings{"host": "http://u:canary@x", "username": "u", "password": "p"}, providers.Env{}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a URL as host: %v", err)
	}
}
